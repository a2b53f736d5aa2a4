//! A directory of certificates and keys: what is missing is made, what is due or no longer fits is made anew.
//!
//! Private keys have mode 0600 and are written beside their place and renamed, so that a crash never leaves half a key.
//! The layout follows kubeadm's: `ca.crt`, `ca.key`, `NAME.crt`, `NAME.key`, `sa.key`, `sa.pub`.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::{Authority, CertificateRequest, Identity, PkiError, TokenKey};

/// Keys and the directory are for their owner alone; certificates are public.
const MODE_SECRET: u32 = 0o600;
const MODE_PUBLIC: u32 = 0o644;
const MODE_DIR: u32 = 0o700;

/// A directory of PEM files.
#[derive(Clone, Debug)]
pub struct PkiDirectory {
    path: PathBuf,
}

impl PkiDirectory {
    /// Uses `path`, making it when it is not there.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, PkiError> {
        let path = path.into();
        fs::create_dir_all(&path).map_err(|source| failed("create directory", &path, source))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(MODE_DIR))
            .map_err(|source| failed("set the mode of", &path, source))?;
        Ok(Self { path })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of `NAME.crt`.
    pub fn certificate_path(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.crt"))
    }

    /// The path of `NAME.key`.
    pub fn key_path(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.key"))
    }

    /// The authority `NAME`, made when it is not there. An authority that is there is never replaced: everything that
    /// trusts it would break.
    pub fn authority(&self, name: &str, common_name: &str, now: Timestamp) -> Result<Authority, PkiError> {
        if let Some(found) = self.read_pair(name)? {
            return Authority::from_pem(&found.certificate_pem, &found.key_pem);
        }
        let authority = Authority::create(common_name, now)?;
        self.write_pair(
            name,
            &Identity {
                certificate_pem: authority.certificate_pem().into(),
                key_pem: authority.key_pem().into(),
            },
        )?;
        Ok(authority)
    }

    /// The certificate `NAME`, issued when it is missing, due, signed by another authority or for another purpose.
    pub fn certificate(
        &self,
        name: &str,
        authority: &Authority,
        request: &CertificateRequest,
        now: Timestamp,
    ) -> Result<Identity, PkiError> {
        if let Some(found) = self.read_pair(name)?
            && found.serves(authority, request, now)
        {
            return Ok(found);
        }
        let identity = authority.issue(request, now)?;
        self.write_pair(name, &identity)?;
        Ok(identity)
    }

    /// The key `NAME.key` that signs ServiceAccount tokens, made when it is not there, with `NAME.pub` beside it.
    pub fn token_key(&self, name: &str) -> Result<TokenKey, PkiError> {
        let path = self.key_path(name);
        if let Some(pem) = read(&path)? {
            return TokenKey::from_pem(&pem);
        }
        let key = TokenKey::generate()?;
        write(&self.path.join(format!("{name}.pub")), &key.public_pem(), MODE_PUBLIC)?;
        write(&path, key.private_pem(), MODE_SECRET)?;
        Ok(key)
    }

    /// Writes a file that holds secrets, such as a kubeconfig, and returns its path.
    pub fn write_secret(&self, name: &str, text: &str) -> Result<PathBuf, PkiError> {
        let path = self.path.join(name);
        if read(&path)?.as_deref() != Some(text) {
            write(&path, text, MODE_SECRET)?;
        }
        Ok(path)
    }

    fn read_pair(&self, name: &str) -> Result<Option<Identity>, PkiError> {
        let certificate = read(&self.certificate_path(name))?;
        let key = read(&self.key_path(name))?;
        Ok(certificate.zip(key).map(|(certificate_pem, key_pem)| Identity { certificate_pem, key_pem }))
    }

    fn write_pair(&self, name: &str, identity: &Identity) -> Result<(), PkiError> {
        write(&self.key_path(name), &identity.key_pem, MODE_SECRET)?;
        write(&self.certificate_path(name), &identity.certificate_pem, MODE_PUBLIC)
    }
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> PkiError {
    PkiError::File { action, path: path.display().to_string(), source }
}

fn read(path: &Path) -> Result<Option<String>, PkiError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(failed("read", path, source)),
    }
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), PkiError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let attempt = || {
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    attempt().map_err(|source| failed("write", path, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    fn temp(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("gantry-pki-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn what_is_there_is_kept_and_what_is_due_is_renewed() {
        let path = temp("renew");
        let dir = PkiDirectory::open(&path).unwrap();
        let ca = dir.authority("ca", "kubernetes", now()).unwrap();
        let request = CertificateRequest::client("system:kube-scheduler", "");
        let first = dir.certificate("scheduler", &ca, &request, now()).unwrap();

        let dir = PkiDirectory::open(&path).unwrap();
        let again = dir.authority("ca", "kubernetes", now()).unwrap();
        assert_eq!(again.certificate_pem(), ca.certificate_pem());
        let kept = dir.certificate("scheduler", &again, &request, now()).unwrap();
        assert_eq!(kept.certificate_pem, first.certificate_pem);

        let later = now() + jiff::SignedDuration::from_hours(300 * 24);
        let renewed = dir.certificate("scheduler", &again, &request, later).unwrap();
        assert_ne!(renewed.certificate_pem, first.certificate_pem);
        fs::remove_dir_all(&path).unwrap();
    }

    #[test]
    fn keys_are_for_their_owner_alone() {
        let path = temp("modes");
        let dir = PkiDirectory::open(&path).unwrap();
        dir.authority("ca", "kubernetes", now()).unwrap();
        dir.token_key("sa").unwrap();
        let mode = |name: &str| fs::metadata(path.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("ca.key"), mode("sa.key"), mode("ca.crt"), mode(".")), (0o600, 0o600, 0o644, 0o700));
        assert_eq!(dir.token_key("sa").unwrap().key_id(), dir.token_key("sa").unwrap().key_id());
        fs::remove_dir_all(&path).unwrap();
    }
}
