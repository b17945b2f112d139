//! The keys of `contract`.

use super::{COUNT, Level, Shape, setting};
use crate::goal::Receipt;

pub(in crate::goal) static CONTRACT: Level = Level {
    name: "contract",
    keys: &[
        setting(
            "definition_of_done",
            Shape::Prose,
            "When the goal is reached, for people and workers.",
        )
        .or_null(),
        setting(
            "constraints",
            Shape::Prose,
            "What must hold on the way, for people and workers.",
        )
        .or_null(),
        setting("owner", Shape::Prose, "Whose goal it is.").or_null(),
        setting(
            "verification_requirements",
            Shape::Prose,
            "What a verification must show, for people and workers.",
        )
        .or_null(),
        setting(
            "acceptance_tests",
            Shape::Texts,
            "Names or paths of the tests that decide.",
        )
        .or_null(),
        setting(
            "immutable",
            Shape::Immutable,
            "Fields of the contract that are frozen until it is ratified again, and `path:GLOB` for files that a worker may not change, add or delete.",
        )
        .or_null(),
        setting(
            "autonomy_ceiling",
            Shape::Whole { least: 0, most: 5 },
            "0: propose only; 1 and up: commit allowed.",
        )
        .or_null(),
        setting(
            "irreversible_min_trust",
            COUNT,
            "The ceiling that an irreversible action needs; absent: none is enough.",
        )
        .or_null(),
        setting("proposed_by", Shape::Text, "Who wrote the target.").or_null(),
        setting(
            "ratified_by",
            Shape::Text,
            "Who ratified it; someone else than who proposed it.",
        )
        .or_null()
        .beside_contract(),
        setting(
            "expires",
            Shape::Moment,
            "An expired contract is not ratified any more.",
        )
        .or_null(),
        setting(
            "revoked",
            Shape::Object(&REVOKED),
            "A revoked contract is not ratified any more.",
        )
        .or_null()
        .beside_contract(),
        setting(
            "scope",
            Shape::Globs,
            "The only paths that a worker may change; absent: all.",
        )
        .or_null(),
        setting(
            "require_receipt",
            Shape::Flag,
            "Whether only a signed receipt counts as ratification. Default: false.",
        )
        .or_null(),
        setting(
            "receipt",
            Shape::Object(&RECEIPT),
            "The signed ratification; `machine-driver contract ratify --key` writes it.",
        )
        .or_null()
        .beside_contract(),
    ],
};

pub(in crate::goal) static RECEIPT: Level = Level {
    name: "contract.receipt",
    keys: &[
        setting("kind", Shape::OneOf(&[Receipt::KIND]), "What it is.").required(),
        setting(
            "digest",
            Shape::Digest,
            "What was ratified: `machine-driver contract digest`.",
        )
        .required(),
        setting("by", Shape::Words, "Who ratified it; the same as `ratified_by`.").required(),
        setting("at", Shape::Moment, "When.").required(),
        setting("signer", Shape::Did, "Whose key signed it.").required(),
        setting(
            "transcript_sha256",
            Shape::Digest,
            "SHA-256 of a council's transcript.",
        )
        .or_null(),
        setting(
            "signature",
            Shape::Signature,
            "Ed25519 over the RFC 8785 form of the other members, base64url.",
        )
        .required(),
    ],
};

pub(in crate::goal) static REVOKED: Level = Level {
    name: "contract.revoked",
    keys: &[
        setting("by", Shape::Words, "Who revoked it.").required(),
        setting("at", Shape::Moment, "When.").required(),
        setting("reason", Shape::Text, "Why.").or_null(),
    ],
};
