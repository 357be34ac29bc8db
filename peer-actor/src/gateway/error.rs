//! Every way a gateway request can fail, and the one table that says which status it gets.

use actix_web::{HttpResponse, ResponseError, http::StatusCode, http::header};
use thiserror::Error;

use super::OpenRefusal;

/// Why a request is not answered with what it asked for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GatewayError {
    /// The path names no content id.
    #[error("a content id is 64 hexadecimal digits")]
    MalformedId,
    /// The network has no such file of this kind.
    #[error("no such content in this network")]
    UnknownContent,
    /// Nothing is known yet, since the tracker was not reached.
    #[error("the tracker has not been reached yet; try again in a moment")]
    NotConnected,
    /// The content is not being streamed, so there is nothing to tell about it.
    #[error("this content is not being streamed; read /stream/{{content_id}} first")]
    NotStreaming,
    /// The content has no cover.
    #[error("this content has no cover")]
    NoCover,
    /// `If-Match` names other bytes.
    #[error("a content never changes, and this is not the one that was meant")]
    PreconditionFailed,
    /// No byte that was asked for exists.
    #[error("the content has {size_bytes} bytes")]
    Unsatisfiable {
        /// The content's size.
        size_bytes: u64,
    },
    /// The request comes from a page of another site, or under a foreign name.
    #[error("this gateway answers programs of this machine only")]
    Foreign,
    /// As many contents are open as may be.
    #[error("too many contents or readers are open; close one")]
    Busy,
    /// The node could not.
    #[error("the content cannot be opened: {0}")]
    Failed(String),
}

impl From<OpenRefusal> for GatewayError {
    fn from(refusal: OpenRefusal) -> Self {
        match refusal {
            OpenRefusal::Unknown => Self::UnknownContent,
            OpenRefusal::Busy => Self::Busy,
            OpenRefusal::Failed(reason) => Self::Failed(reason),
        }
    }
}

impl ResponseError for GatewayError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::MalformedId => StatusCode::BAD_REQUEST,
            Self::Foreign => StatusCode::FORBIDDEN,
            Self::UnknownContent | Self::NotStreaming | Self::NoCover => StatusCode::NOT_FOUND,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::Unsatisfiable { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::NotConnected | Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Failed(_) => StatusCode::BAD_GATEWAY,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut answer = HttpResponse::build(self.status_code());
        match self {
            Self::Unsatisfiable { size_bytes } => {
                answer.insert_header((header::CONTENT_RANGE, format!("bytes */{size_bytes}")));
                answer.insert_header((header::ACCEPT_RANGES, "bytes"));
            }
            Self::NotConnected | Self::Busy => {
                answer.insert_header((header::RETRY_AFTER, "1"));
            }
            Self::MalformedId
            | Self::Foreign
            | Self::UnknownContent
            | Self::NotStreaming
            | Self::NoCover
            | Self::PreconditionFailed
            | Self::Failed(_) => {}
        }
        answer.json(serde_json::json!({ "error": self.to_string() }))
    }
}
