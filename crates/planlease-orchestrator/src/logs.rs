//! Shows readers on other hosts where the output of commands can be followed.

use std::{convert::Infallible, time::Duration};

use planlease::{Session, error_chain};

use crate::{
    options::Options,
    report::{Report, Reporter},
};

/// How long to wait before it is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Shows it as soon as etcd takes it, and then waits for ever. The end of the session takes it away.
pub(crate) async fn show(session: &Session, options: &Options, reporter: &Reporter) -> Infallible {
    if let Some(server) = &options.log_server {
        let logs = server.for_session();
        while let Err(error) = session.show_logs(&logs).await {
            if error.is_session_lost() {
                break;
            }
            reporter.send(&Report::Trouble(error_chain(&error)));
            tokio::time::sleep(AGAIN).await;
        }
    }
    std::future::pending().await
}
