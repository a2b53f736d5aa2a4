//! nftables by script: what is piped into one `nft -f -` happens as one transaction or not at all.

use crate::error::Error;
use crate::tool::Tools;

/// The `nft` program of one network namespace.
#[derive(Clone, Debug)]
pub struct Nft {
    tools: Tools,
}

impl Nft {
    pub fn new(tools: Tools) -> Self {
        Self { tools }
    }

    /// Applies `script` as one transaction: after an error nothing has changed.
    pub async fn apply(&self, script: &str) -> Result<(), Error> {
        if script.is_empty() {
            return Ok(());
        }
        self.tools.run("nft", &["-f", "-"], script.as_bytes().to_vec()).await.map(drop)
    }

    /// Checks `script` against the kernel without changing anything.
    pub async fn check(&self, script: &str) -> Result<(), Error> {
        self.tools.run("nft", &["-c", "-f", "-"], script.as_bytes().to_vec()).await.map(drop)
    }

    /// Names of the tables as (family, name).
    pub async fn tables(&self) -> Result<Vec<(String, String)>, Error> {
        let output = self.tools.run("nft", &["list", "tables"], Vec::new()).await?;
        Ok(parse_tables(&String::from_utf8_lossy(&output.stdout)))
    }

    /// A table's rules in nft's own words.
    pub async fn list_table(&self, family: &str, table: &str) -> Result<String, Error> {
        let output = self.tools.run("nft", &["list", "table", family, table], Vec::new()).await?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Removes a table with everything in it; no error when there is none. (`add` first makes `delete` find it.)
    pub async fn delete_table(&self, family: &str, table: &str) -> Result<(), Error> {
        self.apply(&format!("add table {family} {table}\ndelete table {family} {table}\n")).await
    }
}

fn parse_tables(text: &str) -> Vec<(String, String)> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some("table"))
                .then(|| Some((words.next()?.to_owned(), words.next()?.to_owned())))?
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_from_nfts_listing() {
        let tables = parse_tables("table ip kube-proxy\ntable inet filter\n\n");
        assert_eq!(tables, [("ip".into(), "kube-proxy".into()), ("inet".into(), "filter".into())]);
    }
}
