//! Serves on a loopback port, for trying it with `etcdctl`: `serve [ADDR] [DATA_DIR]`.

use planlease_embedded::{Listen, Options, Server};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let addr = arguments.next().unwrap_or_else(|| "127.0.0.1:2379".to_owned()).parse()?;
    let options = match arguments.next() {
        Some(data_dir) => Options::in_folder(data_dir, 1),
        None => Options::in_memory(1),
    };
    let server = Server::open(options).await?;
    let bound = Listen::Tcp { addr, allow_remote: false }.bind().await?;
    #[expect(clippy::print_stdout, reason = "an example talks to its user")]
    {
        println!("listening on {}", bound.url());
    }
    let interrupted = async {
        // Without a signal handler the only way out is to be killed, which is fine too.
        drop(tokio::signal::ctrl_c().await);
    };
    server.serve_on(bound, interrupted).await?;
    server.close().await;
    Ok(())
}
