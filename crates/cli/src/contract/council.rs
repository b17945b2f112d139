//! `contract ratify --council`

use std::time::Duration;

use machine_driver::contract::{ByCouncil, can_be_ratified};
use machine_driver::council::{self, Council, Head, ROUNDTABLE, Verdict};
use machine_driver::{Clock as _, SystemClock, read_goal};
use machine_driver_governor::council::Vote;
use machine_driver_state::canonical::sha256;
use machine_driver_state::control::Switch;
use serde_json::json;

use crate::args::contract::RatifyArgs;
use crate::error::Failure;
use crate::escape;
use crate::me::Me;
use crate::narrate::counted;
use crate::out::Out;
use crate::signals;
use crate::style::{self, paint};

/// Characters of a head's name and of what it did, in their columns.
const NAME_CHARS: usize = 24;
const ENDED_CHARS: usize = 40;

/// Asks the council, says who said what, and returns the name under which it has ratified.
pub(super) fn ask(
    args: &RatifyArgs,
    command: &str,
    me: &Me,
    out: &Out,
) -> Result<(String, ByCouncil), Failure> {
    let path = &args.goal.path;
    let file = read_goal(path)?;
    let now = SystemClock::new().now();
    // Nobody is asked in vain.
    can_be_ratified(path, args.key.is_some(), now)?;
    let council = Council {
        command: command.to_owned(),
        heads: heads(args, command)?,
        quorum: args.quorum as usize,
        wall: Duration::from_secs(args.council_timeout),
    };
    let switch = Switch::new();
    let stop = switch.clone();
    let listening = signals::listen(out, move |cut| stop.cancel(cut))?;
    out.busy(format!("asking {}", counted(council.heads.len(), "head")));
    let verdict = council::ask(&file, &council, now, &switch);
    out.idle();
    drop(listening);
    let verdict = verdict?;
    tell(&verdict, out);
    match verdict.ratified_by {
        Ok(by) => Ok((by, verdict.by)),
        Err(why) => Err(Failure::NotVerified {
            what: format!("the council did not ratify the contract: {why}"),
            help: format!(
                "Read what was said in {}, mend the contract, then ask again; what it says now: `{}`.",
                verdict.transcript.display(),
                me.on("contract show", path)
            ),
        }),
    }
}

/// Who is asked: those named, or as many as have to agree.
fn heads(args: &RatifyArgs, command: &str) -> Result<Vec<String>, Failure> {
    if !args.heads.is_empty() {
        return Ok(args.heads.iter().map(|head| head.trim().to_owned()).collect());
    }
    if command.trim() == ROUNDTABLE {
        return Err(Failure::Usage {
            what: "roundtable has to be told whom to ask".into(),
            help: "Name its heads: `--council roundtable --heads A,B`.".into(),
        });
    }
    Ok((1..=args.quorum).map(|number| number.to_string()).collect())
}

fn tell(verdict: &Verdict, out: &Out) {
    for head in &verdict.heads {
        out.say(line(head));
        out.json(&json!({
            "type": "ballot",
            "head": head.name,
            "vote": head.vote.as_ref().ok().map(|vote| vote.word()),
            "no_vote": head.vote.as_ref().err().map(machine_driver_governor::council::NoVote::why),
            "ended": head.ended,
            "answer_sha256": sha256(&head.answer),
        }));
    }
    let path = verdict.transcript.to_string_lossy();
    out.say(format!("transcript {}", escape::line(&path)));
    out.json(&json!({"type": "transcript", "path": path, "sha256": verdict.by.transcript}));
}

fn line(head: &Head) -> String {
    let (style, word, why) = match &head.vote {
        Ok(Vote::Ratify) => (style::GOOD, "RATIFY", String::new()),
        Ok(Vote::Reject) => (style::BAD, "REJECT", String::new()),
        Err(none) => (style::WARN, "no vote", none.why()),
    };
    let ended = if why == head.ended {
        String::new()
    } else {
        escape::cut(&head.ended, ENDED_CHARS)
    };
    let parts: Vec<String> = [escape::cut(&why, 200), ended]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect();
    format!(
        "  {:<8} {}  {}",
        escape::cut(&head.name, NAME_CHARS),
        paint(style, format!("{word:<7}")),
        parts.join("; ")
    )
}
