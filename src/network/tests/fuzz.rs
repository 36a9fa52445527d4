//! Fuzzing of what a peer sends: messages, the pieces that carry them, the handshake. `cargo test --lib fuzz` runs it, for
//! `FUZZ_SECONDS` each.

use tokio::io::{AsyncWriteExt as _, duplex};

use super::support::*;
use crate::network::PROTOCOL_VERSION;
use crate::network::frame::{Assembler, LENGTH_BYTES, split_lane};
use crate::network::handshake::{Role, handshake};
use crate::network::message_kind::MessageKind;
use crate::runtime::fuzz::fuzz;
use crate::types::Message;
use crate::types::codec::{decode, encode};

fn samples() -> Vec<Vec<u8>> {
    one_of_each().iter().map(encode).collect()
}

#[test]
fn messages_are_refused_or_have_one_encoding() {
    fuzz("messages", &samples(), |_, bytes| {
        if let Ok(message) = decode::<Message>(bytes) {
            assert_eq!(encode(&message), bytes);
            assert!(MessageKind::of(&message).bytes_max() > 0);
        }
    });
}

/// INV-NET-4.
#[test]
fn lanes_hold_no_more_than_came_and_give_back_what_was_framed() {
    let framed = |bytes: Vec<u8>| {
        let length = u32::try_from(bytes.len()).unwrap();
        [length.to_le_bytes().to_vec(), bytes].concat()
    };
    let samples: Vec<_> = samples().into_iter().map(framed).collect();
    fuzz("lanes", &samples, |_, bytes| {
        for is_urgent in [false, true] {
            let (mut lane, mut taken) = (Assembler::new(is_urgent, PROTOCOL_VERSION), 0);
            for piece in bytes.chunks(1 + bytes.len() / 3) {
                lane.feed(piece);
                while let Ok(Some((kind, message))) = lane.next_message() {
                    assert!(message.len() <= kind.bytes_max());
                    taken += LENGTH_BYTES + message.len();
                }
                let _unfinished = lane.unfinished();
                assert!(taken + lane.pending_bytes() <= bytes.len());
            }
        }
        if let Ok((_, payload)) = split_lane(bytes) {
            assert_eq!(payload.len() + 1, bytes.len());
        }
    });
}

/// INV-NET-9: nobody gets in with what somebody else said, changed or not.
#[test]
fn handshakes_are_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let recorded = runtime.block_on(said_by_an_initiator(&local(1, CHAIN), &local(2, CHAIN)));
    let first = 2 + usize::from(u16::from_be_bytes([recorded[0], recorded[1]]));
    let samples = [recorded[..first].to_vec(), recorded];
    let node = local(2, CHAIN);
    fuzz("handshakes", &samples, |_, bytes| {
        let outcome = runtime.block_on(async {
            let (mut left, right) = duplex(1 << 17);
            left.write_all(bytes).await.unwrap();
            left.shutdown().await.unwrap();
            let deadline = std::time::Duration::from_secs(60);
            handshake(right, Role::Responder, &node, None, deadline, |_| Ok(())).await.map(|_| ())
        });
        let error = outcome.expect_err("a stranger got in");
        assert!(!error.to_string().contains("deadline"), "it waits for what will never come: {error}");
    });
}
