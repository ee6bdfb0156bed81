//! The page's files, in the program: it works without a network, and what is served is what was
//! tested.

use super::http::Response;

const HTML: &str = include_str!("page/index.html");
const CSS: &str = include_str!("page/page.css");
const ICON: &str = include_str!("page/icon.svg");
/// The page's scripts, each one idea. They are modules, and load each other.
const SCRIPTS: [(&str, &str); 7] = [
    ("/page.js", include_str!("page/page.js")),
    ("/draw.js", include_str!("page/draw.js")),
    ("/pipeline.js", include_str!("page/pipeline.js")),
    ("/ways.js", include_str!("page/ways.js")),
    ("/latency.js", include_str!("page/latency.js")),
    ("/panels.js", include_str!("page/panels.js")),
    ("/act.js", include_str!("page/act.js")),
];

/// The file at `path`; they tell nothing of an engine, so no token is needed.
#[must_use]
pub fn file(path: &str) -> Option<Response> {
    let (content_type, text) = match path {
        "/" | "/index.html" => ("text/html; charset=utf-8", HTML),
        "/page.css" => ("text/css; charset=utf-8", CSS),
        "/icon.svg" => ("image/svg+xml", ICON),
        _ => {
            let (_, text) = SCRIPTS.iter().find(|(name, _)| *name == path)?;
            ("text/javascript; charset=utf-8", *text)
        }
    };
    let mut response = Response::new(200, content_type, text.as_bytes());
    response.fixed = true;
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The policy that goes with every answer forbids what is written into a page itself, and
    /// whatever comes from elsewhere: the page would be broken, not unsafe.
    #[test]
    fn everything_comes_from_files_of_its_own() {
        for inline in ["<style", " style=", " onclick=", " onload=", "javascript:"] {
            assert!(!HTML.contains(inline), "{inline}");
        }
        let parts = ["href=\"/", "src=\"/"].map(|attribute| HTML.split(attribute).skip(1));
        let mut found = 0;
        for rest in parts.into_iter().flatten() {
            let path = format!("/{}", rest.split('"').next().expect("a name"));
            assert!(file(&path).is_some(), "{path} is not served");
            found += 1;
        }
        assert!(found >= 3, "a style, a script, an icon");
        for (name, text) in SCRIPTS {
            for banned in
                ["innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", "document.write"]
            {
                assert!(!text.contains(banned), "{banned} in {name}");
            }
            for line in text.lines().filter(|line| line.starts_with("import ")) {
                let from = line.split('"').nth(1).expect("a module");
                assert!(file(from.trim_start_matches('.')).is_some(), "{from} in {name}");
            }
        }
        let all = SCRIPTS.map(|(_, text)| text).concat() + HTML + CSS;
        let elsewhere = all.split("http").skip(1).filter(|rest| rest.starts_with("s://"));
        assert_eq!(elsewhere.count(), 0, "nothing is loaded from elsewhere");
    }
}
