//! The flags of a connection. Texts stay texts here; what they mean is decided by `settings`, wherever they
//! come from.

use clap::Args;

/// The settings of a connection as typed; see `settings` for what they mean and where else they can come
/// from.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectionArgs {
    /// The configuration file [default: planlease/config.toml below ~/.config]
    #[arg(long, global = true, hide_short_help = true, value_name = "FILE")]
    pub(crate) config: Option<String>,
    /// A context of the configuration file; `local` for the local server
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// The servers of one etcd cluster, separated by commas [default: a local server]
    #[arg(long, global = true, value_name = "URLS")]
    pub(crate) endpoints: Option<String>,
    /// The certificate authorities to trust, PEM [default: the system's]
    #[arg(long, global = true, hide_short_help = true, value_name = "FILE")]
    pub(crate) cacert: Option<String>,
    /// The client certificate, PEM
    #[arg(long, global = true, hide_short_help = true, value_name = "FILE")]
    pub(crate) cert: Option<String>,
    /// The private key of --cert, PEM
    #[arg(long, global = true, hide_short_help = true, value_name = "FILE")]
    pub(crate) key: Option<String>,
    /// The name that the server's certificate must have, if not the endpoint's
    #[arg(long, global = true, hide_short_help = true, value_name = "NAME")]
    pub(crate) server_name: Option<String>,
    /// The user of etcd
    #[arg(long, global = true, hide_short_help = true, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// The file that holds the user's password
    #[arg(long, global = true, hide_short_help = true, value_name = "FILE")]
    pub(crate) password_file: Option<String>,
    /// The isolated key space of one team [default: default]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// The key prefix of everything that is stored [default: /planlease]
    #[arg(long, global = true, hide_short_help = true, value_name = "KEY")]
    pub(crate) root: Option<String>,
    /// The timeout of one operation [default: 15s]
    #[arg(long, global = true, hide_short_help = true, value_name = "DURATION")]
    pub(crate) timeout: Option<String>,
    /// The time to live of a session: how long after a crash its plans are free [default: 15s]
    #[arg(long, global = true, hide_short_help = true, value_name = "DURATION")]
    pub(crate) ttl: Option<String>,
}
