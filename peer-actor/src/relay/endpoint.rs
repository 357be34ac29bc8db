//! The path both ends of a relayed connection dial: `/relay/{token}`.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};

use super::{
    relays::{Admission, Relays},
    table::Token,
};
use crate::{clock, transport};

/// Upgrades a request that names a granted token, and carries its connection once both ends are here. The server must have been built
/// with [`keep_socket`](transport::keep_socket).
pub fn accept_relay(
    request: &HttpRequest,
    payload: web::Payload,
    token: &str,
    relays: &Arc<Relays>,
) -> Result<HttpResponse, actix_web::Error> {
    let Some(token) = parse_token(token) else { return Ok(HttpResponse::NotFound().finish()) };
    match relays.admit(clock::now_ms(), &token) {
        Admission::Unknown => Ok(HttpResponse::NotFound().finish()),
        Admission::Wait(ends, other) => {
            let (response, link, events) = transport::accept(request, payload)?;
            actix_web::rt::spawn(relays.clone().carry(ends, (link, events), other));
            Ok(response)
        }
        Admission::Join(first) => {
            let (response, link, events) = transport::accept(request, payload)?;
            if let Err((link, _)) = first.send((link, events)) {
                link.cut();
            }
            Ok(response)
        }
    }
}

fn parse_token(text: &str) -> Option<Token> {
    if text.len() != 32 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_32_hexadecimal_digits_and_nothing_else() {
        assert_eq!(parse_token("000102030405060708090a0b0c0d0e0f"), Some(std::array::from_fn(|n| n as u8)));
        for text in ["", "00", &"0".repeat(33), &"g".repeat(32), &format!("+{}", "0".repeat(31))] {
            assert_eq!(parse_token(text), None, "{text}");
        }
    }
}
