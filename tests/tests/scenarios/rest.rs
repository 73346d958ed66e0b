//! Patroni's REST API speaks TLS as certificates come, change and go, and no member loses the lead.

use anyhow::Result;
use end_to_end::failover::Cluster;

#[test]
fn patronis_api_follows_the_certificates() -> Result<()> {
    let cluster = Cluster::up("e2erest", 16607)?;
    cluster.gain_tls()?;
    cluster.change_issuer()?;
    cluster.resize(&[2, 3])?;
    cluster.lose_tls()?;
    Ok(())
}
