//! etcd's Auth service as an etcd without authentication answers it: so that a client which was given a
//! user's name and a password learns that none is needed, and goes on.

use axum::Router;
use etcd_client::proto::{PbAuthenticateResponse, PbResponseHeader};
use tonic::Response;

use crate::service::base::Service;
use crate::service::method::unary;
use crate::status::Refusal;

pub(crate) const NAME: &str = "etcdserverpb.Auth";

/// What a client asks for is of no concern to a server without users.
type Anything = ();

/// The answer about authentication; etcd-client does not export it.
#[derive(Clone, PartialEq, prost::Message)]
struct AuthStatusResponse {
    #[prost(message, optional, tag = "1")]
    header: Option<PbResponseHeader>,
    #[prost(bool, tag = "2")]
    enabled: bool,
    #[prost(uint64, tag = "3")]
    auth_revision: u64,
}

/// The revision of etcd's users before the first of them is made.
const NO_USERS_REVISION: u64 = 1;

/// The methods that are served.
pub(crate) fn routes(service: &Service) -> Router {
    let shared = service.shared.clone();
    let status = unary(move |(): Anything| {
        let header = Some(shared.header());
        async move {
            let answer = AuthStatusResponse { header, enabled: false, auth_revision: NO_USERS_REVISION };
            Ok(Response::new(answer))
        }
    });
    let authenticate = unary(async |(): Anything| {
        Err::<Response<PbAuthenticateResponse>, _>(Refusal::AuthNotEnabled.into())
    });
    Router::new()
        .route("/etcdserverpb.Auth/AuthStatus", status)
        .route("/etcdserverpb.Auth/Authenticate", authenticate)
}
