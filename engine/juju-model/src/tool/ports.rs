//! `open-port`, `close-port` and `opened-ports`.

use crate::tool::call::ToolCall;
use crate::tool::{Answer, Port};

impl ToolCall<'_> {
    /// Ports with own buffered changes laid over them, sorted.
    ///
    /// # Errors
    /// None so far.
    pub fn opened_ports(&self) -> Answer<Vec<Port>> {
        let unit = self.model.unit(&self.session.run.unit);
        let mut ports = unit.map(|unit| unit.ports.clone()).unwrap_or_default();
        let endpoints = self.model.endpoint_names(self.session.run.unit.app());
        for (port, open) in &self.session.writes.ports {
            port.clone().apply(*open, &mut ports, &endpoints);
        }
        Ok(ports.into_iter().collect())
    }

    /// Buffered.
    ///
    /// # Errors
    /// Too much in all.
    pub fn open_port(&mut self, port: Port) -> Answer<()> {
        self.change_port(port, true)
    }

    /// Buffered.
    ///
    /// # Errors
    /// Too much in all.
    pub fn close_port(&mut self, port: Port) -> Answer<()> {
        self.change_port(port, false)
    }

    fn change_port(&mut self, port: Port, open: bool) -> Answer<()> {
        self.session.make_room(16 + port.endpoint.len())?;
        self.session.writes.ports.push((port, open));
        Ok(())
    }
}
