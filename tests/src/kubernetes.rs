//! The Kubernetes API, as a trusted charm speaks to it.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::Talisman;

/// Asks the API from inside a charm's container: verb, path in the model's namespace, body.
const ASK: &str = "\
import ssl, sys, urllib.request as web
at = '/var/run/secrets/kubernetes.io/serviceaccount/'
token, space = open(at + 'token').read(), open(at + 'namespace').read()
trust = ssl.create_default_context(cafile=at + 'ca.crt')
verb, path, body = sys.argv[1:]
kind = 'application/merge-patch+json' if verb == 'PATCH' else 'application/json'
asked = web.Request(
    f'https://10.1.255.1:6443/api/v1/namespaces/{space}/{path}',
    method=verb,
    data=body.encode() or None,
    headers={'Authorization': 'Bearer ' + token, 'Content-Type': kind},
)
print(web.urlopen(asked, context=trust).read().decode())
";

/// A word of a shell's command line that means just this text.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

impl Talisman {
    /// What the API answers to a unit's service account.
    ///
    /// # Errors
    /// When it refuses.
    pub fn kubernetes(&self, unit: &str, verb: &str, path: &str, body: &str) -> Result<Value> {
        let (script, path, body) = (quoted(ASK), quoted(path), quoted(body));
        let text =
            self.call(&["ssh", unit, &format!("python3 -c {script} {verb} {path} {body}")])?;
        serde_json::from_str(&text).with_context(|| format!("the API answered {text}"))
    }
}
