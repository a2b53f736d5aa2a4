//! Bearer tokens from a file, as upstream's `--token-auth-file`: one a line, `token,user,uid` and perhaps groups, which are
//! quoted when there are several. The file is read once; a token in it is good until the server ends.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;

use super::union::bearer_token;
use crate::seams::{Authenticator, UserInfo};

/// Users by token.
pub struct TokenFile(BTreeMap<String, Arc<UserInfo>>);

/// Tokens are secrets: only their number is shown.
impl fmt::Debug for TokenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenFile").field("tokens", &self.0.len()).finish()
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct TokenFileError {
    pub line: usize,
    pub why: &'static str,
}

impl TokenFile {
    /// Reads the file's text. Of two lines with one token the last counts, as upstream.
    pub fn parse(text: &str) -> Result<Self, TokenFileError> {
        let mut users = BTreeMap::new();
        for (i, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let refuse = |why| TokenFileError { line: i + 1, why };
            let columns = columns(line).ok_or_else(|| refuse("a quote is not closed"))?;
            let [token, name, uid, groups @ ..] = columns.as_slice() else {
                return Err(refuse("a token needs at least 3 columns: token, user name and user uid"));
            };
            if token.is_empty() {
                return Err(refuse("the token is empty"));
            }
            let groups = groups.first().map(String::as_str).unwrap_or_default();
            let groups = groups.split(',').map(str::trim).filter(|g| !g.is_empty()).map(str::to_owned);
            let user = UserInfo {
                name: name.clone(),
                uid: uid.clone(),
                groups: groups.collect(),
                ..UserInfo::default()
            };
            users.insert(token.clone(), Arc::new(user));
        }
        Ok(Self(users))
    }
}

/// The columns of a line, of which any may be quoted; a quote within is doubled.
fn columns(line: &str) -> Option<Vec<String>> {
    let mut columns = vec![String::new()];
    let mut quoted = false;
    let mut letters = line.trim().chars().peekable();
    while let Some(letter) = letters.next() {
        let column = columns.last_mut().expect("there is always one");
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                column.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => columns.push(String::new()),
            other => column.push(other),
        }
    }
    (!quoted).then_some(columns)
}

impl Authenticator for TokenFile {
    fn authenticate<'a>(
        &'a self,
        request: &'a http::request::Parts,
    ) -> BoxFuture<'a, Result<Option<Arc<UserInfo>>, String>> {
        let user = bearer_token(request).and_then(|token| self.0.get(&token).cloned());
        Box::pin(async move { Ok(user) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Token, name, uid and groups.
    type Line<'a> = (&'a str, &'a str, &'a str, &'a [&'a str]);

    #[track_caller]
    fn check(text: &str, expected: Result<&[Line<'_>], &str>) {
        let got = TokenFile::parse(text);
        match (got, expected) {
            (Ok(file), Ok(expected)) => {
                let got: Vec<_> = file
                    .0
                    .iter()
                    .map(|(token, user)| (&**token, &*user.name, &*user.uid, user.groups.clone()))
                    .collect();
                let expected: Vec<_> = expected
                    .iter()
                    .map(|(t, n, u, g)| (*t, *n, *u, g.iter().map(|g| (*g).to_owned()).collect::<Vec<_>>()))
                    .collect();
                assert_eq!(got, expected);
            }
            (Err(error), Err(expected)) => assert_eq!(error.to_string(), expected),
            (got, expected) => panic!("{got:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn lines_are_users() {
        check(
            "t1,ann,1\n\nt2,ben,2,\"dev,ops\"\n",
            Ok(&[("t1", "ann", "1", &[]), ("t2", "ben", "2", &["dev", "ops"])]),
        );
        check("t,ann,1,dev\nt,ben,2", Ok(&[("t", "ben", "2", &[])]));
        check("t,\"a\"\"b\",1", Ok(&[("t", "a\"b", "1", &[])]));
        check("", Ok(&[]));
        check("x,y,1\nt,ann", Err("line 2: a token needs at least 3 columns: token, user name and user uid"));
        check(",ann,1", Err("line 1: the token is empty"));
        check("t,\"ann,1", Err("line 1: a quote is not closed"));
    }

    #[tokio::test]
    async fn a_known_token_is_its_user() {
        let file = TokenFile::parse("abc,ann,1,dev").unwrap();
        for (header, expected) in [("Bearer abc", Some("ann")), ("Bearer x", None), ("Basic abc", None)] {
            let request = http::Request::builder().header("Authorization", header).body(()).unwrap();
            let user = file.authenticate(&request.into_parts().0).await.unwrap();
            assert_eq!(user.as_ref().map(|u| &*u.name), expected, "{header}");
        }
    }
}
