# Draws folded stacks, SORTED, as a flame graph: width is the share of samples, the inner frames lie
# on top, and each box tells its name and share when it is pointed at. No script in the picture.
# Variables: title, wide (pixels, default 1200).
function safe(text) {gsub(/&/, "\\&amp;", text); gsub(/</, "\\&lt;", text); gsub(/>/, "\\&gt;", text); return text}
BEGIN {wide = wide ? wide : 1200; high = 17}
{
    samples = $NF; stack = substr($0, 1, length($0) - length($NF) - 1)
    levels = split(stack, frame, ";"); path = ""
    for (i = 1; i <= levels; i++) {
        path = path ";" frame[i]
        if (!(path in width)) {order[++boxes] = path; from[path] = total; level[path] = i; name[path] = frame[i]}
        width[path] += samples
    }
    total += samples
    if (levels > deepest) deepest = levels
}
END {
    if (!total) exit 1
    tall = (deepest + 2) * high + 24
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"monospace\" font-size=\"12\">\n", wide, tall
    printf "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n<text x=\"6\" y=\"16\">%s: %d samples</text>\n", safe(title), total
    for (b = 1; b <= boxes; b++) {
        path = order[b]; w = width[path] / total * wide
        if (w < 0.4) continue
        x = from[path] / total * wide; y = tall - (level[path] + 0.5) * high
        hue = 0
        for (i = 1; i <= length(name[path]); i++) hue = (hue * 31 + index("abcdefghijklmnopqrstuvwxyz_:", substr(name[path], i, 1))) % 60
        room = int((w - 6) / 7.3); text = name[path]
        if (length(text) > room) text = room > 3 ? substr(text, 1, room - 2) ".." : ""
        printf "<g><title>%s: %d samples, %.1f %%</title><rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" rx=\"1\" fill=\"hsl(%d,75%%,68%%)\"/>", safe(name[path]), width[path], width[path] * 100 / total, x, y, w, high - 1, hue
        if (text != "") printf "<text x=\"%.1f\" y=\"%.1f\">%s</text>", x + 3, y + 12, safe(text)
        print "</g>"
    }
    print "</svg>"
}
