//! Fences a resource outside etcd, here an HTTP server: a former owner that does not know yet that it has
//! lost its plan cannot write any more.
//!
//! The resource keeps the highest token that it has seen and refuses every lower one, in one step with the
//! write. Without that, a process that is paused between its last look at the ownership and its write would
//! overwrite its successor's.
#![expect(clippy::print_stdout, reason = "a program that prints")]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

use planlease::{AcquireOptions, FencingToken, Identity, Reason, core::fence};
use planlease_examples::{Result, Store, import_release};

#[tokio::main]
async fn main() -> Result {
    let store = Store::from_arguments().await?;
    let coordinator = store.connect().await?;
    let plan = import_release(&coordinator).await?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let resource = listener.local_addr()?;
    thread::spawn(move || serve(&listener));

    let first = coordinator.open_session(Identity::of_process()).await?;
    let former = first.acquire(&plan, AcquireOptions::default()).await?;
    println!("token {}: {}", former.token(), put(resource, former.token(), "by the first")?);

    // An operator ends the ownership, and a second process acquires the plan.
    coordinator
        .admin()
        .force_release(&plan, None, &Reason::by("the operator").because("to show a former owner"))
        .await?;
    let second = coordinator.open_session(Identity::of_process()).await?;
    let owner = second.acquire(&plan, AcquireOptions::default()).await?;
    println!("token {}: {}", owner.token(), put(resource, owner.token(), "by the second")?);

    // The first one was paused, say, and goes on where it was.
    println!("token {}: {}", former.token(), put(resource, former.token(), "by the first")?);

    owner.release().await?;
    second.close().await?;
    first.close().await?;
    Ok(())
}

/// Writes to the resource, with the token in a header. Returns the status line of the answer.
fn put(resource: SocketAddr, token: FencingToken, body: &str) -> Result<String> {
    let mut stream = TcpStream::connect(resource)?;
    let length = body.len();
    let head = format!("PUT /object HTTP/1.1\r\nHost: {resource}\r\nFencing-Token: {token}\r\n");
    write!(stream, "{head}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}")?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    Ok(answer.trim_end().trim_start_matches("HTTP/1.1 ").to_owned())
}

/// The resource: one object, and the highest token that has written it.
fn serve(listener: &TcpListener) {
    let (mut object, mut highest) = (String::new(), None);
    for stream in listener.incoming().flatten() {
        // One request at a time, so that the check and the write are one step. A database does it in one
        // statement: UPDATE … WHERE highest <= token.
        if let Err(error) = answer(stream, &mut highest, &mut object) {
            println!("a request failed: {error}");
        }
    }
}

fn answer(mut stream: TcpStream, highest: &mut Option<FencingToken>, object: &mut String) -> Result {
    let (token, body) = read(&mut stream)?;
    let status = match fence::admit(*highest, token) {
        Ok(admitted) => {
            *highest = Some(admitted);
            *object = body;
            "204 No Content".to_owned()
        }
        Err(stale) => format!("412 Precondition Failed: {stale}"),
    };
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    Ok(())
}

/// Reads the token and the body of a request.
fn read(stream: &mut TcpStream) -> Result<(FencingToken, String)> {
    let mut reader = BufReader::new(stream);
    let (mut token, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some(("Fencing-Token", value)) => token = Some(value.parse()?),
            Some(("Content-Length", value)) => length = value.parse()?,
            None if line.trim_end().is_empty() => break,
            _ => {}
        }
    }
    let mut body = String::new();
    reader.take(length).read_to_string(&mut body)?;
    Ok((token.ok_or("a request without a Fencing-Token")?, body))
}
