//! One handler per path: read the request, ask the library, answer.

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    body::SizedStream,
    http::{Method, StatusCode, header},
    web,
};
use futures_util::stream;
use shared::{
    ByteRange, ContentId,
    snapshot::{NetworkFile, TrackerStatus},
};

use super::{
    GatewayError,
    body::{self, Segment, content_range, len_bytes},
    byte_range::{self, RangeAnswer},
    media_type::{content_disposition, content_type},
    metrics,
    server::Traffic,
    source::{Library, Reader},
};

/// Puts every path of the gateway on an app that carries the library and the traffic as data.
pub(super) fn mount<L: Library>(app: &mut web::ServiceConfig) {
    app.route("/ready", web::get().to(ready))
        .route("/api/files", web::get().to(files::<L>))
        .route("/api/status", web::get().to(status::<L>))
        .route("/api/streams/{content_id}", web::get().to(progress::<L>))
        .route("/api/cover/{content_id}", web::get().to(cover::<L>))
        .route("/metrics", web::get().to(scrape::<L>))
        .service(
            web::resource("/stream/{content_id}")
                .route(web::get().to(media::<L>))
                .route(web::head().to(media::<L>)),
        );
}

async fn ready() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body("ready\n")
}

async fn files<L: Library>(library: web::Data<L>) -> HttpResponse {
    uncached().json(&*library.snapshot().files)
}

async fn status<L: Library>(library: web::Data<L>) -> HttpResponse {
    uncached().json(&*library.snapshot())
}

async fn progress<L: Library>(
    library: web::Data<L>,
    path: web::Path<String>,
) -> Result<HttpResponse, GatewayError> {
    let content_id = parse_id(&path)?;
    let stream = library.stream(content_id).await.ok_or(GatewayError::NotStreaming)?;
    Ok(uncached().json(&*stream))
}

async fn cover<L: Library>(
    library: web::Data<L>,
    path: web::Path<String>,
) -> Result<HttpResponse, GatewayError> {
    let jpeg = library.cover(parse_id(&path)?).await.ok_or(GatewayError::NoCover)?;
    Ok(HttpResponse::Ok()
        .content_type("image/jpeg")
        .insert_header((header::CACHE_CONTROL, "private, max-age=3600"))
        .body(jpeg))
}

async fn scrape<L: Library>(library: web::Data<L>, traffic: web::Data<Traffic>) -> HttpResponse {
    match metrics::render(&library.snapshot(), traffic.totals()) {
        Ok(text) => HttpResponse::Ok()
            .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
            .body(text),
        Err(error) => HttpResponse::InternalServerError().body(error.to_string()),
    }
}

async fn media<L: Library>(
    request: HttpRequest,
    path: web::Path<String>,
    library: web::Data<L>,
    traffic: web::Data<Traffic>,
) -> Result<HttpResponse, GatewayError> {
    let content_id = parse_id(&path)?;
    let file = find(&**library, content_id)?;
    let plan = Plan::of(&request, &file)?;
    tracing::debug!(content = %content_id.short(), name = %file.name, status = plan.status.as_u16(), segments = ?plan.segments, "stream asked for");

    let mut answer = plan.head(&file);
    if plan.status == StatusCode::NOT_MODIFIED {
        return Ok(answer.finish());
    }
    let length = len_bytes(&plan.segments);
    if *request.method() == Method::HEAD {
        return Ok(answer.body(SizedStream::new(length, stream::empty::<Result<_, std::io::Error>>())));
    }
    let reader = library.open(content_id).await?;
    if reader.file().size != file.size {
        return Err(GatewayError::Failed("sharers disagree about its size".into()));
    }
    let bytes = body::stream(L::clone(&library), reader, plan.segments, Traffic::clone(&traffic));
    Ok(answer.body(SizedStream::new(length, Box::pin(bytes))))
}

/// What a stream request gets, before any byte is read.
struct Plan {
    status: StatusCode,
    content_type: String,
    content_range: Option<String>,
    etag: String,
    segments: Vec<Segment>,
}

impl Plan {
    fn of(request: &HttpRequest, file: &NetworkFile) -> Result<Self, GatewayError> {
        let etag = format!("\"{}\"", file.content_id);
        if field(request, header::IF_MATCH).is_some_and(|list| !byte_range::names_etag(list, &etag)) {
            return Err(GatewayError::PreconditionFailed);
        }
        let whole = Self {
            status: StatusCode::OK,
            content_type: content_type(file).into(),
            content_range: None,
            etag,
            segments: vec![Segment::Media(0..file.size)],
        };
        if field(request, header::IF_NONE_MATCH).is_some_and(|list| byte_range::names_etag(list, &whole.etag))
        {
            return Ok(Self { status: StatusCode::NOT_MODIFIED, segments: Vec::new(), ..whole });
        }
        // Ranges are defined for GET alone, and count only while the client's copy is of these bytes.
        let counts = *request.method() == Method::GET
            && byte_range::if_range_holds(field(request, header::IF_RANGE), &whole.etag);
        match byte_range::resolve(field(request, header::RANGE).filter(|_| counts), file.size) {
            RangeAnswer::Whole => Ok(whole),
            RangeAnswer::Single(range) => Ok(whole.single(range, file.size)),
            RangeAnswer::Multiple(ranges) => Ok(whole.multiple(&ranges, file.size)),
            RangeAnswer::Unsatisfiable => Err(GatewayError::Unsatisfiable { size_bytes: file.size }),
        }
    }

    fn single(self, range: ByteRange, size_bytes: u64) -> Self {
        Self {
            status: StatusCode::PARTIAL_CONTENT,
            content_range: Some(content_range(&range, size_bytes)),
            segments: vec![Segment::Media(range)],
            ..self
        }
    }

    /// The id is a fine boundary: no media contains its own hash in hexadecimal by chance.
    fn multiple(self, ranges: &[ByteRange], size_bytes: u64) -> Self {
        let boundary = self.etag.trim_matches('"').to_owned();
        Self {
            status: StatusCode::PARTIAL_CONTENT,
            segments: body::multipart(ranges, size_bytes, &self.content_type, &boundary),
            content_type: format!("multipart/byteranges; boundary={boundary}"),
            ..self
        }
    }

    fn head(&self, file: &NetworkFile) -> HttpResponseBuilder {
        let mut answer = HttpResponse::build(self.status);
        answer
            .insert_header((header::ETAG, self.etag.as_str()))
            .insert_header((header::CACHE_CONTROL, "private, max-age=31536000, immutable"))
            .insert_header((header::ACCEPT_RANGES, "bytes"));
        if self.status == StatusCode::NOT_MODIFIED {
            return answer;
        }
        answer
            .insert_header((header::CONTENT_TYPE, self.content_type.as_str()))
            .insert_header((header::CONTENT_DISPOSITION, content_disposition(&file.name)))
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
        if let Some(range) = &self.content_range {
            answer.insert_header((header::CONTENT_RANGE, range.as_str()));
        }
        answer
    }
}

fn find<L: Library>(library: &L, content_id: ContentId) -> Result<NetworkFile, GatewayError> {
    let node = library.snapshot();
    let file = node.files.iter().find(|file| file.content_id == content_id).cloned();
    // An empty catalogue before the first greeting of the tracker says nothing about the network.
    let is_known = node.tracker == TrackerStatus::Connected || !node.files.is_empty();
    file.ok_or(if is_known { GatewayError::UnknownContent } else { GatewayError::NotConnected })
}

fn parse_id(text: &str) -> Result<ContentId, GatewayError> {
    text.parse().map_err(|_| GatewayError::MalformedId)
}

fn field(request: &HttpRequest, name: header::HeaderName) -> Option<&str> {
    request.headers().get(name).and_then(|value| value.to_str().ok())
}

fn uncached() -> HttpResponseBuilder {
    let mut answer = HttpResponse::Ok();
    answer.insert_header((header::CACHE_CONTROL, "no-store"));
    answer
}
