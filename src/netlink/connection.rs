//! A netlink socket that sends batches, waits until the kernel has been through each, and names each refusal.

use std::os::fd::{AsFd, AsRawFd};

use netlink_packet_core::{
    Emitable, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST,
    NetlinkDeserializable, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::sys::socket::{MsgFlags, recv, send, setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};

use super::error::{BatchError, NetlinkError, Refusal, extended_text};

/// Most requests sent at once: the default receive buffer of 212,992 bytes holds 256 answers, should all be refused;
/// half of that leaves room for the kernel's texts.
const BATCH_MESSAGES: usize = 128;

/// Most bytes sent at once: a batch beyond the send buffer is not sent at all.
const BATCH_BYTES: usize = 96 * 1024;

/// One receive call's buffer: the kernel fills dumps up to 32 KiB a message.
const RECEIVE_BYTES: usize = 64 * 1024;

/// The bytes of `struct nlmsghdr`.
const HEADER: usize = 16;

/// How often a dump that raced with a change is asked for again.
const DUMP_ATTEMPTS: usize = 16;

/// One change asked of the kernel.
#[derive(Debug, Clone)]
pub struct Request {
    /// The message.
    pub message: RouteNetlinkMessage,
    /// What it does, in words, for the error: "add class 1:5 on lh0".
    pub what: String,
    flags: u16,
}

impl Request {
    /// Makes something new; refused when it exists.
    pub fn create(message: RouteNetlinkMessage, what: impl Into<String>) -> Self {
        Self { message, what: what.into(), flags: NLM_F_CREATE | NLM_F_EXCL }
    }

    /// Makes something, in the place of what is there.
    pub fn replace(message: RouteNetlinkMessage, what: impl Into<String>) -> Self {
        Self { message, what: what.into(), flags: NLM_F_CREATE | NLM_F_REPLACE }
    }

    /// Changes something that exists; refused when it does not.
    pub fn change(message: RouteNetlinkMessage, what: impl Into<String>) -> Self {
        Self { message, what: what.into(), flags: 0 }
    }

    /// Deletes something.
    pub fn delete(message: RouteNetlinkMessage, what: impl Into<String>) -> Self {
        Self::change(message, what)
    }
}

/// A route-netlink socket in the network namespace of the thread that opened it.
pub struct Connection {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Connection {
    /// Opens a socket in the calling thread's network namespace.
    pub fn open() -> Result<Self, NetlinkError> {
        let io = |operation| move |source| NetlinkError::Io { operation, source };
        let mut socket = Socket::new(NETLINK_ROUTE).map_err(io("socket"))?;
        socket.bind_auto().map_err(io("bind"))?;
        socket.connect(&SocketAddr::new(0, 0)).map_err(io("connect"))?;
        // Both only enrich errors; kernels without them still answer.
        let _ = socket.set_ext_ack(true);
        let _ = socket.set_cap_ack(true);
        setsockopt(&socket.as_fd(), sockopt::ReceiveTimeout, &TimeVal::seconds(10))
            .map_err(|errno| NetlinkError::io("setsockopt", errno))?;
        Ok(Self { socket, sequence: 0, buffer: vec![0; RECEIVE_BYTES] })
    }

    /// Does all requests, in order, in batches. Every request is tried; the error lists those that were refused.
    pub fn execute(&mut self, requests: &[Request]) -> Result<(), NetlinkError> {
        let mut refusals = Vec::new();
        let mut done = 0;
        while done < requests.len() {
            let count = self.send_batch(&requests[done..])?;
            self.await_answers(&requests[done..done + count], done, &mut refusals)?;
            done += count;
        }
        if refusals.is_empty() { Ok(()) } else { Err(BatchError { refusals }.into()) }
    }

    /// Does one request.
    pub fn execute_one(&mut self, request: Request) -> Result<(), NetlinkError> {
        self.execute(&[request])
    }

    /// Asks for a list of objects; asks again when something changed meanwhile.
    pub fn dump(&mut self, message: &RouteNetlinkMessage) -> Result<Vec<RouteNetlinkMessage>, NetlinkError> {
        self.dump_as(message)
    }

    /// As [`dump`](Self::dump), but the caller's own type reads the objects: for lists that may hold what others have made
    /// and netlink-packet-route cannot read, where one strange object must not hide the rest.
    pub fn dump_as<T: NetlinkDeserializable>(&mut self, message: &RouteNetlinkMessage) -> Result<Vec<T>, NetlinkError> {
        for _ in 0..DUMP_ATTEMPTS {
            if let Some(objects) = self.dump_once(message)? {
                return Ok(objects);
            }
        }
        Err(NetlinkError::Malformed("the kernel's state changes faster than it can be listed".to_owned()))
    }

    /// Asks for one object; `None` when there is none (`ENODEV` or `ENOENT`).
    pub fn get(&mut self, message: &RouteNetlinkMessage) -> Result<Option<RouteNetlinkMessage>, NetlinkError> {
        let sequence = self.send_message(message, NLM_F_REQUEST)?;
        loop {
            for answer in self.receive()? {
                if answer.header.sequence_number != sequence {
                    continue;
                }
                match answer.payload {
                    NetlinkPayload::InnerMessage(inner) => return Ok(Some(inner)),
                    NetlinkPayload::Error(error) => {
                        return match -error.raw_code() {
                            libc::ENODEV | libc::ENOENT => Ok(None),
                            errno => Err(refusal(0, "look up", errno, &error.header)),
                        };
                    }
                    _ => {}
                }
            }
        }
    }

    /// Sends as many as go at once. Only the last one asks to be acknowledged: the kernel does a batch in order and answers every
    /// refusal unasked, and to read one answer each takes longer than the kernel takes for the whole batch.
    fn send_batch(&mut self, requests: &[Request]) -> Result<usize, NetlinkError> {
        let count = fitting(requests);
        let mut bytes = Vec::new();
        for (place, request) in requests.iter().take(count).enumerate() {
            let asked = if place + 1 == count { NLM_F_ACK } else { 0 };
            self.encode(&mut bytes, &request.message, request.flags | NLM_F_REQUEST | asked);
        }
        self.send_bytes(&bytes)?;
        Ok(count)
    }

    /// Takes the answers to a batch, up to that to its last request: by then the kernel has been through all of it.
    fn await_answers(
        &mut self,
        batch: &[Request],
        offset: usize,
        refusals: &mut Vec<Refusal>,
    ) -> Result<(), NetlinkError> {
        let first = self.sequence.wrapping_sub(u32::try_from(batch.len()).unwrap_or(u32::MAX)).wrapping_add(1);
        let mut done = batch.is_empty();
        while !done {
            for answer in self.receive::<RouteNetlinkMessage>()? {
                let NetlinkPayload::Error(error) = answer.payload else { continue };
                let place = answer.header.sequence_number.wrapping_sub(first) as usize;
                let Some(request) = batch.get(place) else { continue };
                done |= place + 1 == batch.len();
                if error.raw_code() != 0 {
                    refusals.push(Refusal {
                        index: offset + place,
                        what: request.what.clone(),
                        errno: -error.raw_code(),
                        text: extended_text(&error.header),
                    });
                }
            }
        }
        Ok(())
    }

    fn dump_once<T: NetlinkDeserializable>(
        &mut self,
        message: &RouteNetlinkMessage,
    ) -> Result<Option<Vec<T>>, NetlinkError> {
        let sequence = self.send_message(message, NLM_F_REQUEST | NLM_F_DUMP)?;
        let (mut objects, mut interrupted) = (Vec::new(), false);
        loop {
            for answer in self.receive()? {
                if answer.header.sequence_number != sequence {
                    continue;
                }
                interrupted |= answer.header.flags & NLM_F_DUMP_INTR != 0;
                match answer.payload {
                    NetlinkPayload::InnerMessage(inner) => objects.push(inner),
                    NetlinkPayload::Done(done) if done.code < 0 => {
                        return Err(refusal(0, "list", -done.code, &[]));
                    }
                    NetlinkPayload::Done(_) => return Ok((!interrupted).then_some(objects)),
                    NetlinkPayload::Error(error) => return Err(refusal(0, "list", -error.raw_code(), &error.header)),
                    _ => {}
                }
            }
        }
    }

    fn send_message(&mut self, message: &RouteNetlinkMessage, flags: u16) -> Result<u32, NetlinkError> {
        let mut bytes = Vec::new();
        self.encode(&mut bytes, message, flags);
        self.send_bytes(&bytes)?;
        Ok(self.sequence)
    }

    /// Appends a message with the next number.
    fn encode(&mut self, bytes: &mut Vec<u8>, message: &RouteNetlinkMessage, flags: u16) {
        self.sequence = self.sequence.wrapping_add(1);
        let (start, length) = (bytes.len(), length(message));
        bytes.resize(start + length.next_multiple_of(4), 0);
        let mut header = NetlinkHeader::default();
        header.length = u32::try_from(length).unwrap_or(u32::MAX);
        (header.message_type, header.flags, header.sequence_number) = (message.message_type(), flags, self.sequence);
        header.emit(&mut bytes[start..start + HEADER]);
        message.emit(&mut bytes[start + HEADER..start + length]);
    }

    fn send_bytes(&self, bytes: &[u8]) -> Result<(), NetlinkError> {
        let sent = send(self.socket.as_raw_fd(), bytes, MsgFlags::empty());
        sent.map(|_| ()).map_err(|errno| NetlinkError::io("send", errno))
    }

    fn receive<T: NetlinkDeserializable>(&mut self) -> Result<Vec<NetlinkMessage<T>>, NetlinkError> {
        let length = loop {
            match recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_TRUNC) {
                Err(nix::Error::EINTR) => {}
                Err(nix::Error::EAGAIN) => return Err(NetlinkError::TimedOut),
                Err(errno) => return Err(NetlinkError::io("receive", errno)),
                Ok(length) if length > self.buffer.len() => {
                    return Err(NetlinkError::Malformed(format!("an answer of {length} bytes is too long")));
                }
                Ok(length) => break length,
            }
        };
        read_messages(&self.buffer[..length])
    }
}

/// The bytes of a message with its header, without what fills it up to the next.
fn length(message: &RouteNetlinkMessage) -> usize {
    HEADER + Emitable::buffer_len(message)
}

/// How many requests go into one batch: at least one, if there is one.
fn fitting(requests: &[Request]) -> usize {
    let mut bytes = 0;
    let fits = |request: &&Request| {
        let first = bytes == 0;
        bytes += length(&request.message).next_multiple_of(4);
        first || bytes <= BATCH_BYTES
    };
    requests.iter().take(BATCH_MESSAGES).take_while(fits).count()
}

/// The messages of a datagram.
pub(super) fn read_messages<T: NetlinkDeserializable>(mut rest: &[u8]) -> Result<Vec<NetlinkMessage<T>>, NetlinkError> {
    let mut messages = Vec::new();
    while rest.len() >= HEADER {
        let message =
            NetlinkMessage::<T>::deserialize(rest).map_err(|error| NetlinkError::Malformed(error.to_string()))?;
        let used = (message.header.length as usize).next_multiple_of(4).max(HEADER);
        messages.push(message);
        rest = rest.get(used..).unwrap_or_default();
    }
    Ok(messages)
}

fn refusal(index: usize, what: &str, errno: i32, tail: &[u8]) -> NetlinkError {
    BatchError { refusals: vec![Refusal { index, what: what.to_owned(), errno, text: extended_text(tail) }] }.into()
}
