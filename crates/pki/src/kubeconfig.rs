//! Renders kubeconfig files. They are written as YAML whose scalars are JSON strings, so nothing needs escaping rules of
//! its own; reading kubeconfig files is the client's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::Identity;

/// What a kubeconfig says.
#[derive(Clone, Debug)]
pub struct Kubeconfig<'a> {
    /// Name of the cluster entry.
    pub cluster: &'a str,
    /// Name of the user entry.
    pub user: &'a str,
    /// Such as `https://10.0.0.1:6443`.
    pub server: &'a str,
    pub ca_pem: &'a str,
    pub credential: Credential<'a>,
    /// Namespace of the context; empty leaves it out.
    pub namespace: &'a str,
}

/// How the user shows who they are.
#[derive(Clone, Debug)]
pub enum Credential<'a> {
    Certificate(&'a Identity),
    Token(&'a str),
}

impl Kubeconfig<'_> {
    /// The file's text.
    pub fn render(&self) -> String {
        let context = format!("{}@{}", self.user, self.cluster);
        let namespace = if self.namespace.is_empty() {
            String::new()
        } else {
            format!("    namespace: {}\n", quote(self.namespace))
        };
        let credential = match &self.credential {
            Credential::Certificate(identity) => format!(
                "    client-certificate-data: {}\n    client-key-data: {}\n",
                STANDARD.encode(&identity.certificate_pem),
                STANDARD.encode(&identity.key_pem)
            ),
            Credential::Token(token) => format!("    token: {}\n", quote(token)),
        };
        format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: {cluster}\n  cluster:\n    server: {server}\n    \
             certificate-authority-data: {ca}\ncontexts:\n- name: {context}\n  context:\n    cluster: {cluster}\n    \
             user: {user}\n{namespace}current-context: {context}\npreferences: {{}}\nusers:\n- name: {user}\n  \
             user:\n{credential}",
            cluster = quote(self.cluster),
            server = quote(self.server),
            ca = STANDARD.encode(self.ca_pem),
            context = quote(&context),
            user = quote(self.user),
        )
    }
}

fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_a_token_kubeconfig() {
        let text = Kubeconfig {
            cluster: "gantry",
            user: "system:node:n\"1",
            server: "https://127.0.0.1:6443",
            ca_pem: "CA",
            credential: Credential::Token("abc"),
            namespace: "default",
        }
        .render();
        expect_test::expect![[r#"
            apiVersion: v1
            kind: Config
            clusters:
            - name: "gantry"
              cluster:
                server: "https://127.0.0.1:6443"
                certificate-authority-data: Q0E=
            contexts:
            - name: "system:node:n\"1@gantry"
              context:
                cluster: "gantry"
                user: "system:node:n\"1"
                namespace: "default"
            current-context: "system:node:n\"1@gantry"
            preferences: {}
            users:
            - name: "system:node:n\"1"
              user:
                token: "abc"
        "#]]
        .assert_eq(&text);
    }
}
