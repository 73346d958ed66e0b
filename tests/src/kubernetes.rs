//! The Kubernetes API, as a trusted charm speaks to it.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::Talisman;

/// Asks the API from inside a charm's container: verb, path in the model's namespace or from the
/// root, body; `{space}` stands for the namespace.
const ASK: &str = "\
import ssl, sys, urllib.request as web
at = '/var/run/secrets/kubernetes.io/serviceaccount/'
token, space = open(at + 'token').read(), open(at + 'namespace').read()
trust = ssl.create_default_context(cafile=at + 'ca.crt')
verb, path, body = sys.argv[1:]
kind = 'application/merge-patch+json' if verb == 'PATCH' else 'application/json'
path = path if path.startswith('/') else '/api/v1/namespaces/{space}/' + path
asked = web.Request(
    'https://10.1.255.1:6443' + path.replace('{space}', space),
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

/// The line of shell by which a charm's container asks the API of its namespace.
pub(crate) fn asking(verb: &str, path: &str, body: &str) -> String {
    format!("python3 -c {} {verb} {} {}", quoted(ASK), quoted(path), quoted(body))
}

impl Talisman {
    /// What the API answers to a unit's service account.
    ///
    /// # Errors
    /// When it refuses.
    pub fn kubernetes(&self, unit: &str, verb: &str, path: &str, body: &str) -> Result<Value> {
        let text = self.call(&["ssh", unit, &asking(verb, path, body)])?;
        serde_json::from_str(&text).with_context(|| format!("the API answered {text}"))
    }

    /// Deletes a unit's pod in the name of another's, or its own, trusted service account.
    ///
    /// # Errors
    /// When the API refuses.
    pub fn delete_pod(&self, by: &str, unit: &str) -> Result<()> {
        let pod = unit.replace('/', "-");
        let output = self.output(&["ssh", by, &asking("DELETE", &format!("pods/{pod}"), "")])?;
        // A command that deletes its own pod may not live to see itself end well.
        let deleted: Option<Value> = serde_json::from_slice(&output.stdout).ok();
        let said = String::from_utf8_lossy(&output.stderr);
        let deleted = deleted.with_context(|| format!("{unit} was not deleted: {said}"))?;
        ensure!(deleted["metadata"]["name"] == pod.as_str(), "{unit} was not deleted: {deleted}");
        Ok(())
    }
}
