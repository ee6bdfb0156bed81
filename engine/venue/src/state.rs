//! The venue's folder: certificate authority, API key pair, account log.
//!
//! Invariants: one process a folder (a lock says so); the private key is readable by its owner
//! only; the log is written by plain `write`, which survives the death of the process (not the
//! loss of power).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair};

use crate::dialect::binance::api::Credentials;
use crate::session::Journal;
use crate::store::Stored;
use crate::tls::Authority;

const AUTHORITY: &str = "ca.pem";
const AUTHORITY_KEY: &str = "ca.key.pem";
const API_KEY: &str = "api_key";
const PRIVATE_KEY: &str = "private_key.pem";
const SECRET: &str = "secret";
const LOG: &str = "account.log";
const LOCK: &str = "lock";
/// Names of temporary folders begin with this.
const TEMPORARY: &str = "bot4-venue-";
/// An Ed25519 PKCS#8 key is this prefix and the seed (RFC 8410), as other tools write it too.
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// An opened folder.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    /// Removed at the end.
    temporary: bool,
    /// The process whose child this is.
    parent: Option<u32>,
    /// Held for the process' life.
    _lock: File,
}

impl StateDir {
    /// Opens (and makes) the folder: `chosen`; else one for this address under the user's state
    /// folder; else, for port 0, a temporary one that goes with the process, and with it those
    /// that killed venues have left.
    ///
    /// # Errors
    /// If it cannot be made, or another venue uses it.
    pub fn open(chosen: Option<&Path>, listen: SocketAddr, fresh: bool) -> io::Result<Self> {
        let (path, temporary) = match chosen {
            Some(path) => (path.to_owned(), false),
            None if listen.port() == 0 => (temporary_path()?, true),
            None => match state_home() {
                Some(home) => (home.join("bot4/venue").join(folder_name(listen)), false),
                None => (temporary_path()?, true),
            },
        };
        if temporary {
            sweep(&std::env::temp_dir());
        }
        fs::create_dir_all(&path).map_err(|e| in_folder(&path, &e))?;
        let lock = File::create(path.join(LOCK)).map_err(|e| in_folder(&path, &e))?;
        if lock.try_lock().is_err() {
            let what = format!("{}: another venue uses this state folder", path.display());
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, what));
        }
        let dir = Self { path, temporary, parent: None, _lock: lock };
        if fresh {
            for name in [AUTHORITY, AUTHORITY_KEY, API_KEY, PRIVATE_KEY, SECRET, LOG] {
                remove_if_there(&dir.file(name))?;
            }
        }
        Ok(dir)
    }

    /// The folder of a child of process `parent`: without it nobody wants the folder any more, and
    /// it is removed at the end.
    #[must_use]
    pub fn of_child_of(mut self, parent: Option<u32>) -> Self {
        self.parent = parent;
        self
    }

    /// Where a client finds the authority's certificate.
    #[must_use]
    pub fn authority_path(&self) -> PathBuf {
        self.file(AUTHORITY)
    }

    /// Where a client finds the private key.
    #[must_use]
    pub fn private_key_path(&self) -> PathBuf {
        self.file(PRIVATE_KEY)
    }

    /// The authority, made at the first start.
    ///
    /// # Errors
    /// Files that cannot be read or written.
    pub fn authority(&self) -> io::Result<Authority> {
        let (certificate, key) = (self.file(AUTHORITY), self.file(AUTHORITY_KEY));
        if certificate.exists() && key.exists() {
            return Ok(Authority {
                certificate_pem: fs::read_to_string(certificate)?,
                key_pem: fs::read_to_string(key)?,
            });
        }
        let authority = Authority::generate()?;
        write_secret(&key, &authority.key_pem)?;
        replace(&certificate, &authority.certificate_pem)?;
        Ok(authority)
    }

    /// The account's key, made at the first start.
    ///
    /// # Errors
    /// Files that cannot be read or written, or a private key that is not ours.
    pub fn credentials(&self) -> io::Result<Credentials> {
        let (name, private) = (self.file(API_KEY), self.file(PRIVATE_KEY));
        if !(name.exists() && private.exists()) {
            let random = SystemRandom::new();
            write_secret(&private, &pem(&random_bytes::<32>(&random)?))?;
            replace(&name, &api_key(&random)?)?;
        }
        let seed = seed_of(&fs::read_to_string(&private)?).ok_or_else(|| {
            let what = format!("{}: not an Ed25519 PKCS#8 key", private.display());
            io::Error::new(io::ErrorKind::InvalidData, what)
        })?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed)
            .map_err(|rejected| io::Error::other(rejected.to_string()))?;
        let mut public_key = [0; 32];
        public_key.copy_from_slice(pair.public_key().as_ref());
        Ok(Credentials { api_key: fs::read_to_string(name)?.trim().to_owned(), public_key })
    }

    /// Where a client finds the secret.
    #[must_use]
    pub fn secret_path(&self) -> PathBuf {
        self.file(SECRET)
    }

    /// The secret that both sides know, made at the first start: its first line signs, its second
    /// is a passphrase.
    ///
    /// # Errors
    /// Files that cannot be read or written.
    pub fn secret(&self) -> io::Result<String> {
        let path = self.secret_path();
        if !path.exists() {
            let random = SystemRandom::new();
            let secret = STANDARD.encode(random_bytes::<48>(&random)?);
            let passphrase = STANDARD.encode(random_bytes::<9>(&random)?);
            write_secret(&path, &format!("{secret}\n{passphrase}\n"))?;
        }
        fs::read_to_string(path)
    }

    /// Reads the account log, writes it anew in its shortest form, and opens it for appending.
    ///
    /// # Errors
    /// A damaged log, or files that cannot be written.
    pub fn account(&self) -> io::Result<(Stored, AccountLog)> {
        let path = self.file(LOG);
        let mut text = String::new();
        if let Ok(mut file) = File::open(&path) {
            file.read_to_string(&mut text)?;
        }
        let stored = Stored::read(&text).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display()))
        })?;
        // Also drops a torn last line, which the next append would otherwise continue.
        if !text.is_empty() {
            replace(&path, &stored.compact())?;
        }
        let file = OpenOptions::new().append(true).create(true).open(&path)?;
        Ok((stored, AccountLog { file }))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        let orphaned = self.parent.is_some_and(|parent| parent_id() != parent);
        if self.temporary || orphaned {
            // Nothing to do about a folder that will not go; the next start tries again.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// The account log, open for appending.
#[derive(Debug)]
pub struct AccountLog {
    file: File,
}

impl Journal for AccountLog {
    fn append(&mut self, lines: &str) -> io::Result<()> {
        self.file.write_all(lines.as_bytes())
    }
}

fn state_home() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")))
}

fn folder_name(listen: SocketAddr) -> String {
    listen.to_string().replace([':', '[', ']'], "_")
}

/// `bot4-venue-PID-RANDOM` among the temporary files.
fn temporary_path() -> io::Result<PathBuf> {
    let random = random_bytes::<8>(&SystemRandom::new())?;
    let name = random.iter().map(|b| format!("{b:02x}")).collect::<String>();
    Ok(std::env::temp_dir().join(format!("{TEMPORARY}{}-{name}", std::process::id())))
}

/// Removes the temporary folders of venues that were killed: their process is gone and their lock
/// is free. (The process is asked for too, because between making its folder and locking it a
/// living one has no lock; the lock, because another container's process cannot be seen.)
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|n| n.strip_prefix(TEMPORARY)?.split_once('-'));
        let Some(pid) = pid.and_then(|(pid, _)| pid.parse::<u32>().ok()) else { continue };
        if Path::new("/proc").join(pid.to_string()).exists() {
            continue;
        }
        let lock = File::options().write(true).open(entry.path().join(LOCK));
        if lock.is_ok_and(|lock| lock.try_lock().is_err()) {
            continue;
        }
        // Somebody else's stays: it cannot be removed.
        let _ = fs::remove_dir_all(entry.path());
    }
}

fn random_bytes<const N: usize>(random: &SystemRandom) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    random.fill(&mut bytes).map_err(|_| io::Error::other("no random numbers"))?;
    Ok(bytes)
}

/// 64 letters and digits. (The remainder's bias is no matter for a public name.)
fn api_key(random: &SystemRandom) -> io::Result<String> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let letter = |b: &u8| char::from(ALPHABET[usize::from(*b) % ALPHABET.len()]);
    Ok(random_bytes::<64>(random)?.iter().map(letter).collect())
}

fn pem(seed: &[u8; 32]) -> String {
    let der: Vec<u8> = PKCS8_PREFIX.iter().chain(seed).copied().collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der))
}

fn seed_of(pem: &str) -> Option<[u8; 32]> {
    let body: String = pem.lines().filter(|l| !l.starts_with("-----")).collect();
    STANDARD.decode(body.trim()).ok()?.strip_prefix(&PKCS8_PREFIX)?.try_into().ok()
}

fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    remove_if_there(path)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

/// Writes beside and renames: the file is whole at any time.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let beside = path.with_extension("new");
    fs::write(&beside, text)?;
    fs::rename(beside, path)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn in_folder(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("state folder {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_the_published_vector() {
        // The venue publishes this key in its FIX documentation as an example.
        let text = "-----BEGIN PRIVATE KEY-----\n\
                    MC4CAQAwBQYDK2VwBCIEIIJEYWtGBrhACmb9Dvy+qa8WEf0lQOl1s4CLIAB9m89u\n\
                    -----END PRIVATE KEY-----\n";
        let seed = seed_of(text).unwrap();
        assert_eq!(pem(&seed), text);
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
        let public: String =
            pair.public_key().as_ref().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(public, "19420abfd752a565c15625e9da6eaf0086fc40c14960183214442c14996a800d");
    }

    #[test]
    fn a_torn_log_is_mended_before_it_grows() {
        let folder = tempfile::tempdir().unwrap();
        let listen: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let dir = StateDir::open(Some(folder.path()), listen, false).unwrap();
        let whole = r#"{"balances":[["BTC",{"free":5,"locked":0}]]}"#;
        for torn in ["{\"bal".to_owned(), format!("{whole}\n{{\"bal")] {
            fs::write(dir.file(LOG), &torn).unwrap();
            let (_, mut log) = dir.account().unwrap();
            log.append(&format!("{whole}\n")).unwrap();
            assert_eq!(dir.account().unwrap().0.balances["BTC"].free, 5);
        }
    }

    #[test]
    fn folders_of_killed_venues_are_swept_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        // No process has this number: it is above the kernel's largest.
        let make = |name: &str| {
            let path = folder.path().join(name);
            fs::create_dir(&path).unwrap();
            File::create(path.join(LOCK)).unwrap()
        };
        let locked = make("bot4-venue-4294967295-locked");
        locked.try_lock().unwrap();
        let living = format!("bot4-venue-{}-living", std::process::id());
        for name in ["bot4-venue-4294967295-dead", &living, "bot4-venue-x", "else-4294967295-a"] {
            drop(make(name));
        }
        fs::create_dir(folder.path().join("bot4-venue-4294967295-empty")).unwrap();
        sweep(folder.path());
        let left = fs::read_dir(folder.path()).unwrap().flatten();
        let mut left: Vec<_> =
            left.map(|e| e.file_name().into_string().unwrap()).filter(|n| *n != living).collect();
        left.sort();
        assert_eq!(left, ["bot4-venue-4294967295-locked", "bot4-venue-x", "else-4294967295-a"]);
        assert!(folder.path().join(&living).exists());
    }

    #[test]
    fn a_folder_keeps_its_keys_and_is_used_once() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let listen: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let open = |fresh| StateDir::open(Some(folder.path()), listen, fresh);
        let dir = open(false).unwrap();
        let (authority, key) = (dir.authority().unwrap(), dir.credentials().unwrap());
        let mode = fs::metadata(dir.private_key_path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(open(false).unwrap_err().to_string().contains("another venue"));
        drop(dir);
        let again = open(false).unwrap();
        assert_eq!(
            (again.authority().unwrap(), again.credentials().unwrap()),
            (authority, key.clone())
        );
        drop(again);
        assert_ne!(open(true).unwrap().credentials().unwrap(), key);
    }
}
