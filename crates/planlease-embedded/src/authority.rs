//! Accepts every `:authority`, as etcd does.
//!
//! gRPC clients name the server as their channel was configured: by the path of a socket, by the alias of a
//! tunnel, or not at all. h2 resets a request whose name is not a host and a port. This reader looks at the
//! first request of a connection. If h2 would refuse its `:authority`, it decodes the headers of all requests
//! of that connection and leaves the name out; nothing here needs it. Otherwise, and that is the rule, it
//! passes the bytes on unread: all requests of a channel have one name.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BufMut as _, BytesMut};
use http::uri::Authority;
use loona_hpack::Decoder;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

/// The bytes with which every HTTP/2 connection begins.
pub(crate) const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The bytes of the header of a frame.
const FRAME_HEADER: usize = 9;

/// The largest frame that h2 accepts by default.
const MAX_FRAME: usize = 16_384;

/// The largest header block that is decoded.
const MAX_BLOCK: usize = 64 * 1024;

const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;

const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// A connection whose requests have an `:authority` that h2 accepts, or none.
#[derive(Debug)]
pub(crate) struct AnyAuthority<IO> {
    io: IO,
    /// What was read and not yet looked at.
    input: BytesMut,
    /// What can be handed out.
    output: BytesMut,
    state: State,
}

enum State {
    /// The greeting has not come yet.
    Greeting,
    /// The frames are looked at.
    Frames(Box<Frames>),
    /// Everything is passed on as it comes.
    Passing,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Greeting => "Greeting",
            Self::Frames(_) => "Frames",
            Self::Passing => "Passing",
        })
    }
}

struct Frames {
    decoder: Decoder<'static>,
    /// How many more bytes of the present frame are passed on.
    passing: usize,
    /// The frames of a header block that is not complete, and the block.
    raw: BytesMut,
    block: Vec<u8>,
    /// The flags and the stream of its first frame.
    first: (u8, u32),
    /// Whether the headers are written again, without the authority.
    rewriting: bool,
}

/// What a step came to.
enum Step {
    Done,
    NeedsMore,
    /// h2 is to see the rest as it is.
    Pass,
}

impl Frames {
    fn new() -> Self {
        Self {
            decoder: Decoder::new(),
            passing: 0,
            raw: BytesMut::new(),
            block: Vec::new(),
            first: (0, 0),
            rewriting: false,
        }
    }

    /// Moves one frame, or a part of one, from `input` to `output`.
    fn step(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> io::Result<Step> {
        if self.passing > 0 {
            let part = self.passing.min(input.len());
            output.unsplit(input.split_to(part));
            self.passing -= part;
            return Ok(if part == 0 { Step::NeedsMore } else { Step::Done });
        }
        let Some(header) = input.first_chunk::<FRAME_HEADER>() else { return Ok(Step::NeedsMore) };
        let &[a, b, c, kind, flags, d, e, f, g] = header;
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        let stream = u32::from_be_bytes([d, e, f, g]) & 0x7fff_ffff;
        let continues = !self.raw.is_empty();
        if kind != HEADERS && !(kind == CONTINUATION && continues) {
            if continues {
                return self.give_up(output);
            }
            self.passing = FRAME_HEADER + length;
            return Ok(Step::Done);
        }
        if length > MAX_FRAME || (continues && (kind == HEADERS || stream != self.first.1)) {
            return self.give_up(output);
        }
        if input.len() < FRAME_HEADER + length {
            return Ok(Step::NeedsMore);
        }
        let frame = input.split_to(FRAME_HEADER + length);
        let fragment = frame.get(FRAME_HEADER..).and_then(|payload| fragment(payload, kind, flags));
        if !continues {
            self.first = (flags, stream);
        }
        self.raw.unsplit(frame.clone());
        let Some(fragment) = fragment else { return self.give_up(output) };
        self.block.extend_from_slice(fragment);
        if self.block.len() > MAX_BLOCK {
            return self.give_up(output);
        }
        if flags & END_HEADERS == 0 {
            return Ok(Step::Done);
        }
        self.complete(output)
    }

    /// Looks at a header block that is complete.
    fn complete(&mut self, output: &mut BytesMut) -> io::Result<Step> {
        let block = std::mem::take(&mut self.block);
        let Ok(headers) = self.decoder.decode(&block) else { return self.give_up(output) };
        let refused = |(name, value): &(Vec<u8>, Vec<u8>)| {
            name == b":authority" && Authority::try_from(value.as_slice()).is_err()
        };
        self.rewriting |= headers.iter().any(refused);
        if !self.rewriting {
            output.unsplit(self.raw.split());
            return Ok(Step::Pass);
        }
        self.raw.clear();
        let mut written = BytesMut::with_capacity(block.len() * 2);
        for (name, value) in headers.iter().filter(|header| !refused(header)) {
            written.put_u8(0); // A literal that no table keeps.
            put_text(&mut written, name);
            put_text(&mut written, value);
        }
        self.put_frames(output, written);
        Ok(Step::Done)
    }

    fn put_frames(&self, output: &mut BytesMut, mut block: BytesMut) {
        let (flags, stream) = self.first;
        let mut kind = HEADERS;
        loop {
            let part = block.split_to(block.len().min(MAX_FRAME));
            let kept = if kind == HEADERS { flags & !(PADDED | PRIORITY | END_HEADERS) } else { 0 };
            let ends = if block.is_empty() { END_HEADERS } else { 0 };
            output.put_uint(part.len() as u64, 3);
            output.put_u8(kind);
            output.put_u8(kept | ends);
            output.put_u32(stream);
            output.unsplit(part);
            if block.is_empty() {
                return;
            }
            kind = CONTINUATION;
        }
    }

    /// Lets h2 see what it will refuse. Its table of headers is not ours if we have written some, so then the
    /// connection ends.
    fn give_up(&mut self, output: &mut BytesMut) -> io::Result<Step> {
        if self.rewriting {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "malformed frames of headers"));
        }
        output.unsplit(self.raw.split());
        Ok(Step::Pass)
    }
}

/// The part of a frame's payload that belongs to the header block.
fn fragment(payload: &[u8], kind: u8, flags: u8) -> Option<&[u8]> {
    if kind != HEADERS {
        return Some(payload);
    }
    let mut rest = payload;
    let mut padding = 0;
    if flags & PADDED != 0 {
        let (&length, after) = rest.split_first()?;
        (padding, rest) = (usize::from(length), after);
    }
    if flags & PRIORITY != 0 {
        rest = rest.get(5..)?;
    }
    rest.get(..rest.len().checked_sub(padding)?)
}

/// Writes a string literal of HPACK, without Huffman's code.
fn put_text(output: &mut BytesMut, text: &[u8]) {
    const MOST: usize = 127; // In a prefix of 7 bits.
    if let Some(mut rest) = text.len().checked_sub(MOST) {
        output.put_u8(0x7f);
        while rest >= 128 {
            output.put_u8(low(rest) | 0x80);
            rest /= 128;
        }
        output.put_u8(low(rest));
    } else {
        output.put_u8(low(text.len()));
    }
    output.put_slice(text);
}

/// The lowest 7 bits.
fn low(number: usize) -> u8 {
    let [low, ..] = number.to_le_bytes();
    low & 0x7f
}

impl<IO> AnyAuthority<IO> {
    pub(crate) fn new(io: IO) -> Self {
        Self { io, input: BytesMut::new(), output: BytesMut::new(), state: State::Greeting }
    }

    pub(crate) fn get_ref(&self) -> &IO {
        &self.io
    }

    /// Moves what can be moved from the input to the output.
    fn advance(&mut self) -> io::Result<()> {
        loop {
            let step = match &mut self.state {
                State::Passing => Step::Pass,
                State::Greeting => {
                    let known = self.input.len().min(GREETING.len());
                    if self.input.get(..known) != GREETING.get(..known) {
                        Step::Pass // HTTP/1.
                    } else if known < GREETING.len() {
                        Step::NeedsMore
                    } else {
                        self.output.unsplit(self.input.split_to(GREETING.len()));
                        self.state = State::Frames(Box::new(Frames::new()));
                        Step::Done
                    }
                }
                State::Frames(frames) => frames.step(&mut self.input, &mut self.output)?,
            };
            match step {
                Step::Done => {}
                Step::NeedsMore => return Ok(()),
                Step::Pass => {
                    self.state = State::Passing;
                    self.output.unsplit(self.input.split());
                    return Ok(());
                }
            }
        }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for AnyAuthority<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if !this.output.is_empty() {
                let part = this.output.len().min(buffer.remaining());
                buffer.put_slice(this.output.get(..part).unwrap_or_default());
                this.output.advance(part);
                return Poll::Ready(Ok(()));
            }
            if matches!(this.state, State::Passing) {
                return Pin::new(&mut this.io).poll_read(context, buffer);
            }
            if ready!(poll_read_buf(Pin::new(&mut this.io), context, &mut this.input))? == 0 {
                // What is incomplete stays so; h2 sees it.
                if let State::Frames(frames) = &mut this.state {
                    this.output.unsplit(frames.raw.split());
                }
                this.output.unsplit(this.input.split());
                this.state = State::Passing;
            } else {
                this.advance()?;
            }
        }
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for AnyAuthority<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// What comes out of these bytes, which are read in pieces of this size.
    async fn through(bytes: &[u8], size: usize) -> io::Result<Vec<u8>> {
        let (mut client, server) = tokio::io::duplex(size.max(1));
        let writing = async move {
            // The reader may have given up.
            drop(client.write_all(bytes).await);
        };
        let reading = async move {
            let mut read = Vec::new();
            AnyAuthority::new(server).read_to_end(&mut read).await.map(|_| read)
        };
        tokio::join!(writing, reading).1
    }

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut frame = BytesMut::new();
        frame.put_uint(payload.len() as u64, 3);
        frame.put_u8(kind);
        frame.put_u8(flags);
        frame.put_u32(stream);
        frame.put_slice(payload);
        frame.to_vec()
    }

    /// A header block as gRPC's core writes it: everything is indexed.
    fn block(authority: &str) -> Vec<u8> {
        let mut block = vec![0x83];
        for (name, value) in [(":authority", authority), (":path", "/a/b")] {
            block.push(0x40);
            for text in [name, value] {
                block.push(low(text.len()));
                block.extend_from_slice(text.as_bytes());
            }
        }
        block
    }

    /// The headers of all requests in these bytes, read with a table that begins empty.
    fn requests(mut bytes: &[u8]) -> Vec<Vec<(String, String)>> {
        let (mut decoder, mut all) = (Decoder::new(), Vec::new());
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        bytes = bytes.strip_prefix(GREETING).unwrap();
        let mut collected = Vec::new();
        while !bytes.is_empty() {
            let length = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]) as usize;
            let (kind, flags, payload) = (bytes[3], bytes[4], &bytes[9..9 + length]);
            if matches!(kind, HEADERS | CONTINUATION) {
                collected.extend_from_slice(fragment(payload, kind, flags).unwrap());
                if flags & END_HEADERS != 0 {
                    let headers = decoder.decode(&std::mem::take(&mut collected)).unwrap();
                    all.push(headers.into_iter().map(|(name, value)| (text(name), text(value))).collect());
                }
            }
            bytes = &bytes[9 + length..];
        }
        all
    }

    fn names(headers: &[(String, String)]) -> Vec<&str> {
        headers.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[tokio::test]
    async fn a_name_that_h2_refuses_is_left_out() {
        let mut bytes = GREETING.to_vec();
        bytes.extend(frame(4, 0, 0, &[]));
        // Padded, with a priority, and in two frames.
        let first = block("/run/etcd.sock");
        let padded = [&[3, 0, 0, 0, 0, 16][..], &first[..20], &[0; 3]].concat();
        bytes.extend(frame(HEADERS, PADDED | PRIORITY, 1, &padded));
        bytes.extend(frame(CONTINUATION, END_HEADERS, 1, &first[20..]));
        bytes.extend(frame(0, 1, 1, b"data"));
        // The second request refers to the table: its path, its name.
        bytes.extend(frame(HEADERS, END_HEADERS | 1, 3, &[0x83, 0x80 | 63, 0x80 | 62]));
        for size in [1, 7, 100_000] {
            let out = through(&bytes, size).await.unwrap();
            let requests = requests(&out);
            assert_eq!(requests.len(), 2);
            for request in &requests {
                assert_eq!(names(request), [":method", ":path"]);
            }
        }
    }

    #[tokio::test]
    async fn what_h2_accepts_is_passed_on_to_the_byte() {
        for authority in ["localhost", "etcd.example:2379", "[::1]:2379", "unix"] {
            let mut bytes = GREETING.to_vec();
            bytes.extend(frame(HEADERS, END_HEADERS, 1, &block(authority)));
            bytes.extend(frame(0, 1, 1, &[7; 1000]));
            for size in [1, 7, 100_000] {
                assert_eq!(through(&bytes, size).await.unwrap(), bytes, "{authority}");
            }
        }
        let http1 = b"GET /health HTTP/1.1\r\nHost: a b\r\n\r\n";
        assert_eq!(through(http1, 5).await.unwrap(), http1);
        assert_eq!(through(b"PRI * HTTP/1", 5).await.unwrap(), b"PRI * HTTP/1");
    }

    #[tokio::test]
    async fn all_names_are_accepted() {
        let long = format!("/{}", "x".repeat(300));
        for authority in ["", "a b", "[half", "x:y:z", "%2Frun%2Fetcd.sock", "user@host:1:2", &long] {
            let mut bytes = GREETING.to_vec();
            let mut block = vec![0x83, 0x40, 10];
            block.extend_from_slice(b":authority");
            let mut value = BytesMut::new();
            put_text(&mut value, authority.as_bytes());
            block.extend_from_slice(&value);
            bytes.extend(frame(HEADERS, END_HEADERS, 1, &block));
            let out = through(&bytes, 64).await.unwrap();
            assert_eq!(names(&requests(&out)[0]), [":method"], "{authority}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_no_harm(frames in proptest::collection::vec(
            (prop_oneof![Just(HEADERS), Just(CONTINUATION), Just(0_u8)], any::<u8>(), 0_u32..3, proptest::collection::vec(any::<u8>(), 0..40)), 0..6
        ), cut in 0_usize..200, bad in any::<bool>()) {
            let mut bytes = GREETING.to_vec();
            if bad {
                bytes.extend(frame(HEADERS, END_HEADERS, 1, &block("a b")));
            }
            for (kind, flags, stream, payload) in frames {
                bytes.extend(frame(kind, flags, stream, &payload));
            }
            bytes.truncate(bytes.len().saturating_sub(cut));
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            // It ends, without a panic. What it comes to is h2's to judge.
            drop(runtime.block_on(through(&bytes, 64)));
        }
    }
}
