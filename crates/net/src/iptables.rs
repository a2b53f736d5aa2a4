//! iptables by `iptables-restore --noflush`: one table at a time is replaced as a whole.

use crate::error::Error;
use crate::tool::Tools;

/// Waits for the lock that all iptables programs share, in seconds: as long as upstream's kube-proxy does.
const LOCK_WAIT_SECS: &str = "5";

/// The iptables programs of one family in one network namespace.
#[derive(Clone, Debug)]
pub struct Iptables {
    tools: Tools,
    ipv6: bool,
}

impl Iptables {
    pub fn new(tools: Tools, ipv6: bool) -> Self {
        Self { tools, ipv6 }
    }

    fn program(&self, suffix: &str) -> String {
        format!("{}{suffix}", if self.ipv6 { "ip6tables" } else { "iptables" })
    }

    /// Applies tables in the format of iptables-save. Chains that the text declares are emptied first, others stay.
    pub async fn restore(&self, text: &str) -> Result<(), Error> {
        let args = ["-w", LOCK_WAIT_SECS, "--noflush", "--counters"];
        self.tools.run(&self.program("-restore"), &args, text.as_bytes().to_vec()).await.map(drop)
    }

    /// One table in the format of iptables-save.
    pub async fn save(&self, table: &str) -> Result<String, Error> {
        let output = self.tools.run(&self.program("-save"), &["-t", table], Vec::new()).await?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Makes sure that `rule` stands first in `chain`, once.
    pub async fn ensure_first(&self, table: &str, chain: &str, rule: &[&str]) -> Result<(), Error> {
        let program = self.program("");
        let with = |verb| [&["-w", LOCK_WAIT_SECS, "-t", table, verb, chain], rule].concat();
        if self.tools.output(&program, &with("-C"), Vec::new()).await?.success() {
            return Ok(());
        }
        self.tools.run(&program, &with("-I"), Vec::new()).await.map(drop)
    }

    /// Removes `rule` from `chain`; no error when it is not there.
    pub async fn remove(&self, table: &str, chain: &str, rule: &[&str]) -> Result<(), Error> {
        let args = [&["-w", LOCK_WAIT_SECS, "-t", table, "-D", chain], rule].concat();
        self.tools.output(&self.program(""), &args, Vec::new()).await.map(drop)
    }
}
