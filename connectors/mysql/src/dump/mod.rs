//! The connection that reads the log. Its framing is our own, so that an event is a slice of what was received: nothing is
//! copied, allocated or parsed a second time for an event.
//!
//! `login` and `secure` bring the connection up; queries and snapshots use the client library ([`crate::wire`]).
mod frames;
mod login;
mod secure;

use bytes::{Buf, Bytes};
use frames::Frames;
use mysql_async::{DriverError, Error};
use mysql_common::constants::{CapabilityFlags, Command};
use mysql_common::io::ParseBuf;
use mysql_common::packets::{ComRegisterSlave, ErrPacket};
use mysql_common::proto::MySerialize;

pub use login::open;
pub use mysql_common::packets::binlog_request::BinlogRequest;

/// A connection that has logged in; after [`Link::dump`] it carries events alone.
pub struct Link {
    frames: Frames,
    capabilities: CapabilityFlags,
}

/// The events of a dump.
pub struct Dump(Link);

impl Link {
    /// Runs a statement that returns no rows.
    ///
    /// # Errors
    /// The connection is gone, or the server refuses.
    pub async fn run(&mut self, sql: &str) -> Result<(), Error> {
        let mut command = vec![Command::COM_QUERY as u8];
        command.extend_from_slice(sql.as_bytes());
        self.command(&command).await?;
        self.done().await
    }

    /// Registers as a replica and asks for the log: the server says what is wrong with the first event.
    ///
    /// # Errors
    /// The connection is gone, or the server refuses to register.
    pub async fn dump(mut self, request: &BinlogRequest<'_>) -> Result<Dump, Error> {
        let mut command = Vec::new();
        ComRegisterSlave::new(request.server_id()).serialize(&mut command);
        self.command(&command).await?;
        self.done().await?;
        command.clear();
        request.as_cmd().serialize(&mut command);
        self.command(&command).await?;
        Ok(Dump(self))
    }

    async fn command(&mut self, command: &[u8]) -> Result<(), Error> {
        self.frames.begin();
        self.frames.send(command).await.map_err(io)
    }

    /// Takes the answer to a command without rows.
    async fn done(&mut self) -> Result<(), Error> {
        let packet = self.frames.next().await.map_err(io)?;
        match packet.first() {
            Some(0) => Ok(()),
            Some(0xff) => Err(refused(&packet, self.capabilities)),
            _ => Err(unexpected()),
        }
    }
}

impl Dump {
    /// The next event that is there already; none inside if there is none, and none at all at the end of the log.
    pub fn ready(&mut self) -> Option<Result<Option<Bytes>, Error>> {
        match self.0.frames.ready() {
            Ok(None) => None,
            Ok(Some(packet)) => Some(self.event(packet)),
            Err(error) => Some(Err(io(error))),
        }
    }

    /// Waits for the next event; none at the end of the log. May be cancelled.
    ///
    /// # Errors
    /// The connection is gone, or the server ends the dump and says why.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let packet = self.0.frames.next().await.map_err(io)?;
        self.event(packet)
    }

    fn event(&self, mut packet: Bytes) -> Result<Option<Bytes>, Error> {
        match packet.first() {
            Some(0) => {
                packet.advance(1);
                Ok(Some(packet))
            }
            Some(0xff) => Err(refused(&packet, self.0.capabilities)),
            Some(0xfe) if packet.len() < 8 => Ok(None),
            _ => Err(unexpected()),
        }
    }
}

/// What the server said no with.
fn refused(packet: &[u8], capabilities: CapabilityFlags) -> Error {
    match ParseBuf(packet).parse::<ErrPacket<'_>>(capabilities) {
        Ok(ErrPacket::Error(error)) => error.into(),
        Ok(ErrPacket::Progress(_)) | Err(_) => unexpected(),
    }
}

/// Without the packet: it may hold what must not be told.
fn unexpected() -> Error {
    DriverError::UnexpectedPacket { payload: Vec::new() }.into()
}

fn io(error: std::io::Error) -> Error {
    mysql_async::IoError::Io(error).into()
}
