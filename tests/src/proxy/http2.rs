//! HTTP/2 as it goes by, without holding anything up: where frames begin and end, and which request is on
//! which stream.

use super::hpack::Decoder;

/// What a client says first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The length of the header of a frame.
const HEADER: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;

const ACK: u8 = 0x1;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    kind: u8,
    flags: u8,
    pub(super) stream: u32,
    length: usize,
}

impl Frame {
    fn read(header: &[u8]) -> Self {
        let length = header[..3].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        let stream = header[5..9].iter().fold(0, |stream, byte| stream << 8 | u32::from(*byte));
        Self { kind: header[3], flags: header[4], stream: stream & 0x7fff_ffff, length }
    }

    /// Whether it is a part of a request or an answer, and not of what the protocol says for itself.
    pub(super) fn is_message(self) -> bool {
        matches!(self.kind, DATA | HEADERS | CONTINUATION)
    }
}

/// Follows the frames of one direction of a connection.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// What has arrived of the next frame's header.
    header: Vec<u8>,
    /// The frame that is under way, with what is kept of it, and how much is still to come.
    under_way: Option<(Frame, Vec<u8>, usize)>,
}

impl Frames {
    /// Returns each frame as it begins, and again with its content when it ends (nothing is kept but header
    /// blocks).
    pub(super) fn feed(&mut self, mut bytes: &[u8], mut report: impl FnMut(Frame, Option<&[u8]>)) {
        loop {
            if let Some((frame, kept, left)) = &mut self.under_way {
                let (now, after) = bytes.split_at((*left).min(bytes.len()));
                *left -= now.len();
                bytes = after;
                if matches!(frame.kind, HEADERS | CONTINUATION) {
                    kept.extend_from_slice(now);
                }
                if *left > 0 {
                    return;
                }
                report(*frame, Some(kept));
                self.under_way = None;
            }
            let (now, after) = bytes.split_at((HEADER - self.header.len()).min(bytes.len()));
            self.header.extend_from_slice(now);
            bytes = after;
            if self.header.len() < HEADER {
                return;
            }
            let frame = Frame::read(&self.header);
            self.header.clear();
            report(frame, None);
            self.under_way = Some((frame, Vec::new(), frame.length));
        }
    }

    /// Whether a frame of one's own could be put here.
    pub(super) fn at_boundary(&self) -> bool {
        self.header.is_empty() && self.under_way.is_none()
    }
}

/// Something that a client did.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It sent a request.
    Request { stream: u32, path: String },
    /// It has said all of a request.
    End { stream: u32 },
    /// It asked whether the connection is alive.
    Ping,
}

/// Follows what a client says. Anything but HTTP/2 in the clear is passed over in silence.
#[derive(Debug)]
pub(super) enum Client {
    /// Too little has been said yet.
    Beginning(Vec<u8>),
    Http2 {
        frames: Frames,
        headers: Decoder,
        /// The header block that is under way.
        block: Vec<u8>,
    },
    /// Something else: encrypted, or not HTTP/2.
    Opaque,
}

impl Client {
    pub(super) fn new() -> Self {
        Self::Beginning(Vec::new())
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<Said> {
        match self {
            Self::Opaque => Vec::new(),
            Self::Beginning(begun) => {
                begun.extend_from_slice(bytes);
                let compared = begun.len().min(PREFACE.len());
                if begun[..compared] != PREFACE[..compared] {
                    *self = Self::Opaque;
                    return Vec::new();
                }
                if begun.len() < PREFACE.len() {
                    return Vec::new();
                }
                let rest = begun.split_off(PREFACE.len());
                *self = Self::Http2 { frames: Frames::default(), headers: Decoder::new(), block: Vec::new() };
                self.feed(&rest)
            }
            Self::Http2 { frames, headers, block } => {
                let mut said = Vec::new();
                let mut readable = true;
                frames.feed(bytes, |frame, payload| {
                    if let Some(payload) = payload {
                        readable &= hear(frame, payload, headers, block, &mut said);
                    }
                });
                if !readable {
                    *self = Self::Opaque;
                }
                said
            }
        }
    }
}

/// One whole frame of a client; whether it could be read.
fn hear(
    frame: Frame,
    payload: &[u8],
    headers: &mut Decoder,
    block: &mut Vec<u8>,
    said: &mut Vec<Said>,
) -> bool {
    match frame.kind {
        PING if frame.flags & ACK == 0 => said.push(Said::Ping),
        HEADERS | CONTINUATION => {
            block.extend_from_slice(fragment(frame, payload));
            if frame.flags & END_HEADERS != 0 {
                match headers.path(&std::mem::take(block)) {
                    Ok(Some(path)) => said.push(Said::Request { stream: frame.stream, path }),
                    Ok(None) => {}
                    Err(_) => return false,
                }
            }
        }
        _ => {}
    }
    if matches!(frame.kind, DATA | HEADERS) && frame.flags & END_STREAM != 0 {
        said.push(Said::End { stream: frame.stream });
    }
    true
}

/// The part of a frame that belongs to the header block.
fn fragment(frame: Frame, payload: &[u8]) -> &[u8] {
    if frame.kind == CONTINUATION {
        return payload;
    }
    let (padding, from) = match frame.flags & PADDED {
        0 => (0, 0),
        _ => (payload.first().map_or(0, |padding| usize::from(*padding)), 1),
    };
    let from = from + if frame.flags & PRIORITY == 0 { 0 } else { 5 };
    payload.get(from..payload.len().saturating_sub(padding)).unwrap_or_default()
}

/// A frame with which a server says that it takes no further requests on this connection.
pub(super) fn go_away(last_stream: u32, code: u32, reason: &str) -> Vec<u8> {
    let length = 8 + reason.len();
    let mut frame = vec![0, 0, u8::try_from(length).expect("a short reason"), 7, 0, 0, 0, 0, 0];
    frame.extend(last_stream.to_be_bytes());
    frame.extend(code.to_be_bytes());
    frame.extend(reason.as_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0, 0, u8::try_from(payload.len()).unwrap(), kind, flags, 0, 0, 0, stream];
        frame.extend(payload);
        frame
    }

    fn conversation() -> Vec<u8> {
        let mut path = vec![0x44, 4];
        path.extend(b"/Txn");
        let padded = [&[2, 0, 0, 0, 0, 9][..], &[0x80 | 62], &[0, 0]].concat();
        [
            PREFACE.to_vec(),
            frame(4, 0, 0, &[]),
            frame(HEADERS, 0, 1, &path[..3]),
            frame(CONTINUATION, END_HEADERS, 1, &path[3..]),
            frame(DATA, 1, 1, &[7; 100]),
            frame(PING, 0, 0, &[0; 8]),
            frame(PING, ACK, 0, &[0; 8]),
            frame(HEADERS, END_HEADERS | PADDED | PRIORITY, 3, &padded),
        ]
        .concat()
    }

    #[test]
    fn requests_are_seen_however_the_bytes_are_cut() {
        let request = |stream| Said::Request { stream, path: "/Txn".to_owned() };
        let expected = [request(1), Said::End { stream: 1 }, Said::Ping, request(3)];
        for size in [1, 2, 7, 10, 1000] {
            let mut client = Client::new();
            let said: Vec<Said> = conversation().chunks(size).flat_map(|bytes| client.feed(bytes)).collect();
            assert_eq!(said, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn bytes_that_are_not_http2_are_ignored() {
        let mut client = Client::new();
        assert_eq!(client.feed(b"GET / HTTP/1.1\r\n\r\n"), []);
        assert_eq!(client.feed(&conversation()), []);
    }

    #[test]
    fn a_frame_of_ones_own_fits_between_frames_only() {
        let mut frames = Frames::default();
        let bytes = frame(DATA, 0, 1, b"abc");
        for (n, byte) in bytes.iter().enumerate() {
            assert_eq!(frames.at_boundary(), n == 0, "{n}");
            frames.feed(&[*byte], |_, _| {});
        }
        assert!(frames.at_boundary());
    }
}
