//! Standard streams as messages, one a line. A line that is no message is answered with the error of JSON-RPC
//! that says why; `rmcp` by itself would drop it, and a client would wait for ever.

use std::{io, mem, sync::Arc};

use bytes::BytesMut;
use rmcp::{
    RoleServer,
    service::{RxJsonRpcMessage, TxJsonRpcMessage},
    transport::Transport,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader},
    sync::Mutex,
};

/// The longest line that is read, in bytes; a longer one is refused.
const LONGEST: usize = 16 * 1024 * 1024;

/// The numbers of JSON-RPC's errors.
const NOT_JSON: i32 = -32700;
const INVALID_REQUEST: i32 = -32600;
const INVALID_PARAMS: i32 = -32602;

/// A transport of `rmcp` on two streams.
pub(crate) struct Messages<R, W> {
    input: BufReader<R>,
    line: Vec<u8>,
    /// Whether the line that is being read is too long; it is not kept.
    too_long: bool,
    output: Arc<Mutex<Output<W>>>,
    /// The answer to a line that was no message.
    answer: Option<Value>,
    /// Whether an answer is not written to its end.
    flushing: bool,
    /// Whether there was a request.
    begun: bool,
}

/// What is to be written. A caller that stops waiting leaves the rest to the next one.
struct Output<W> {
    stream: W,
    waiting: BytesMut,
}

impl<W: AsyncWrite + Unpin> Output<W> {
    fn put(&mut self, line: &[u8]) {
        self.waiting.extend_from_slice(line);
        self.waiting.extend_from_slice(b"\n");
    }

    async fn flush(&mut self) -> io::Result<()> {
        while !self.waiting.is_empty() {
            if self.stream.write_buf(&mut self.waiting).await? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        self.stream.flush().await
    }
}

/// What a line is.
#[derive(Debug)]
enum Line {
    Message(Box<RxJsonRpcMessage<RoleServer>>),
    /// No message: this is the answer.
    Refused(Value),
    /// Nothing that is to be answered: a notification or a response that is not known.
    Nothing,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Messages<R, W> {
    pub(crate) fn new(input: R, output: W) -> Self {
        let output = Output { stream: output, waiting: BytesMut::new() };
        Self {
            input: BufReader::new(input),
            line: Vec::new(),
            too_long: false,
            output: Arc::new(Mutex::new(output)),
            answer: None,
            flushing: false,
            begun: false,
        }
    }

    /// Writes the answer to a line that was no message, if there is one.
    ///
    /// Cancel safe: the next call goes on.
    async fn answer(&mut self) -> io::Result<()> {
        if self.answer.is_none() && !self.flushing {
            return Ok(());
        }
        let mut output = self.output.lock().await;
        if let Some(answer) = self.answer.take() {
            output.put(answer.to_string().as_bytes());
        }
        self.flushing = true;
        output.flush().await?;
        self.flushing = false;
        Ok(())
    }

    /// Reads a line; `None` at the end of the input. Cancel safe: the next call goes on.
    async fn read(&mut self) -> io::Result<Option<Line>> {
        loop {
            let available = self.input.fill_buf().await?;
            if available.is_empty() {
                return Ok(None); // What has no end of line is no message.
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            let (part, used) =
                (&available[..end.unwrap_or(available.len())], end.map_or(available.len(), |end| end + 1));
            self.too_long |= self.line.len() + part.len() > LONGEST;
            if self.too_long {
                self.line.clear();
            } else {
                self.line.extend_from_slice(part);
            }
            self.input.consume(used);
            if end.is_some() {
                let line = mem::take(&mut self.line);
                return Ok(Some(if mem::take(&mut self.too_long) {
                    Line::Refused(error(INVALID_REQUEST, &Value::Null, "the message has more than 16 MiB"))
                } else {
                    understand(&line)
                }));
            }
        }
    }
}

/// Decides what a line is.
fn understand(line: &[u8]) -> Line {
    if line.trim_ascii().is_empty() {
        return Line::Nothing;
    }
    let value: Value = match serde_json::from_slice(line) {
        Ok(value) => value,
        Err(why) => {
            return Line::Refused(error(NOT_JSON, &Value::Null, &format!("the line is not JSON: {why}")));
        }
    };
    let Value::Object(object) = &value else {
        let why = "a message is one JSON object in a line; there are no batches";
        return Line::Refused(error(INVALID_REQUEST, &Value::Null, why));
    };
    let (id, method) = (object.get("id"), object.get("method"));
    // With the id, as far as it is one: a client waits for the answer to it.
    let own = id.filter(|id| is_id(id)).unwrap_or(&Value::Null);
    let refused = |why: &str| Line::Refused(error(INVALID_REQUEST, own, why));
    if method.is_none() && (object.contains_key("result") || object.contains_key("error")) {
        // Answered, it could be answered again, and so on.
        return parsed(value).map_or(Line::Nothing, Line::Message);
    }
    let Some(method) = method.and_then(Value::as_str) else {
        return refused("a request has the name of its method in `method`");
    };
    if object.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return refused("a request says \"jsonrpc\": \"2.0\"");
    }
    let Some(id) = id else { return parsed(value).map_or(Line::Nothing, Line::Message) };
    if !is_id(id) {
        return refused("the `id` of a request is text or a whole number");
    }
    let bad = error(INVALID_PARAMS, id, &format!("the parameters of {method} cannot be read"));
    parsed(value).map_or(Line::Refused(bad), Line::Message)
}

fn is_id(id: &Value) -> bool {
    id.is_string() || id.is_i64()
}

fn parsed(value: Value) -> Option<Box<RxJsonRpcMessage<RoleServer>>> {
    serde_json::from_value(value).ok().map(Box::new)
}

fn error(code: i32, id: &Value, message: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
}

impl<R, W> Transport<RoleServer> for Messages<R, W>
where
    R: AsyncRead + Send + Unpin,
    W: AsyncWrite + Send + Unpin + 'static,
{
    type Error = io::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let output = Arc::clone(&self.output);
        async move {
            let line = serde_json::to_vec(&message)?;
            let mut output = output.lock().await;
            output.put(&line);
            output.flush().await
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        loop {
            self.answer().await.ok()?;
            match self.read().await.ok()?? {
                Line::Message(message) => {
                    let is_request = matches!(*message, RxJsonRpcMessage::<RoleServer>::Request(_));
                    self.begun |= is_request;
                    if self.begun {
                        return Some(*message);
                    }
                }
                Line::Refused(answer) => self.answer = Some(answer),
                Line::Nothing => {}
            }
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        let mut output = self.output.lock().await;
        output.flush().await?;
        output.stream.shutdown().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The code of the answer to a line, and its id.
    fn refused(line: &str) -> (i64, Value, String) {
        match understand(line.as_bytes()) {
            Line::Refused(answer) => {
                let message = answer["error"]["message"].as_str().unwrap().to_owned();
                (answer["error"]["code"].as_i64().unwrap(), answer["id"].clone(), message)
            }
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn a_line_that_is_no_message_is_refused_with_its_code() {
        for line in ["hello", "{", "{\"jsonrpc\": }", "\u{feff}{}"] {
            assert_eq!(refused(line).0, -32700, "{line}");
        }
        for line in [
            "[]",
            "7",
            "{}",
            r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
            r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#,
        ] {
            assert_eq!((refused(line).0, refused(line).1), (-32600, Value::Null), "{line}");
        }
        for line in [
            r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
            r#"{"id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":7}"#,
        ] {
            assert_eq!((refused(line).0, refused(line).1), (-32600, json!(1)), "{line}");
        }
    }

    #[test]
    fn what_needs_no_answer_gets_none() {
        for line in [
            "",
            "  \r",
            r#"{"jsonrpc":"2.0","id":9,"error":7}"#,
            r#"{"jsonrpc":"2.0","error":{"code":-32700}}"#,
        ] {
            assert!(matches!(understand(line.as_bytes()), Line::Nothing), "{line}");
        }
        for line in [
            r#"{"jsonrpc":"2.0","id":"a","method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"no/such","params":{"a":1}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        ] {
            assert!(matches!(understand(line.as_bytes()), Line::Message(_)), "{line}");
        }
    }
}
