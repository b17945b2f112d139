//! `halt`, `resume`, `dial`, `approve`: an operator's word goes before the driver's.

use std::path::Path;
use std::time::Duration;

use machine_driver::look::look;
use machine_driver::operator::{self, Because, Halted, Turned};
use machine_driver::{Exit, SystemClock};
use machine_driver_governor::dial::word;
use machine_driver_state::goal::Mode;
use machine_driver_state::state::Halt;
use serde_json::{Value, json};

use crate::app::summary;
use crate::args::ModeWord;
use crate::args::overrides::{ApproveArgs, DialArgs, HaltArgs, WhoArgs};
use crate::error::Failure;
use crate::escape;
use crate::me::{Me, login};
use crate::out::Out;
use crate::style::{self, paint};
use crate::when;

/// What the log says where an operator who may do so gave no reason.
const UNSAID: &str = "no reason given";

/// Characters of a name or a reason that are shown.
const TEXT_CHARS: usize = 300;

/// Stops everything about a goal.
pub(crate) fn halt(args: &HaltArgs, me: &Me, out: &Out) -> Result<Exit, Failure> {
    let path = &args.goal.path;
    let halted = operator::halt(path, &because(&args.who, Some(&args.reason)), SystemClock::new())?;
    out.say(format!("{}: {}", paint(style::STRONG, "halted"), told(&halted)));
    if let Some(before) = &halted.before {
        out.note(format!("it was halted already: {}", standing(before)));
    }
    if halted.left_over > 0 {
        let count = halted.left_over;
        out.note(format!(
            "processes that an earlier driver had left running were ended: {count}"
        ));
    }
    if let Some(why) = &halted.not_recorded {
        out.warn(format!(
            "it could not be recorded yet ({}); no driver starts before it is",
            escape::cut(why, TEXT_CHARS)
        ));
    }
    let next = me.on("resume --reason TEXT", path);
    // Who asks for a halt is told that it stands only when it is in the log.
    let exit = halted.not_recorded.as_ref().map_or(Exit::Done, |_| Exit::Failed);
    out.json(&summary(
        exit,
        json!({
            "delay_ms": millis(halted.delay),
            "driver": halted.driver.filter(|pid| *pid > 0),
            "ended": halted.ended,
            "processes_ended": halted.left_over,
            "recorded": halted.not_recorded.is_none(),
            "halted_before": halted.before.as_ref().map(halt_json),
            "next": [next],
        }),
    ));
    out.hint(&format!("`{next}`, when what it was halted for is settled"));
    Ok(exit)
}

fn told(halted: &Halted) -> String {
    let delay = when::span(halted.delay);
    let who = match halted.driver {
        None => return "no driver ran, and none starts".into(),
        Some(0) => "the driver".to_owned(),
        Some(pid) => format!("driver {pid}"),
    };
    if halted.ended {
        format!("{who} did not answer and was killed with all that it had started, after {delay}")
    } else {
        format!("{who} stopped, with all that it had started, after {delay}")
    }
}

/// Lifts a halt.
pub(crate) fn resume(args: &HaltArgs, me: &Me, out: &Out) -> Result<Exit, Failure> {
    let path = &args.goal.path;
    let lifted = operator::resume(path, &because(&args.who, Some(&args.reason)), SystemClock::new())?;
    out.say(format!("lifted: the halt {}", standing(&lifted.halt)));
    done(path, me, out, json!({"halt": halt_json(&lifted.halt)}));
    Ok(Exit::Done)
}

/// Turns the dial.
pub(crate) fn dial(args: &DialArgs, me: &Me, out: &Out) -> Result<Exit, Failure> {
    let path = &args.goal.path;
    let mode = match args.mode {
        ModeWord::Propose => Mode::Propose,
        ModeWord::Commit => Mode::Commit,
    };
    let turned = operator::dial(
        path,
        mode,
        &because(&args.because.who, args.because.reason.as_deref()),
        SystemClock::new(),
    )?;
    let (text, was) = match turned {
        Turned::Already => ("it stood there already", "already"),
        Turned::Noted => (
            "the driver that runs took note: it commits nothing any more",
            "noted",
        ),
        _ => ("from now on", "done"),
    };
    out.say(format!("mode={}: {text}", word(mode)));
    let fields = json!({"mode": word(mode), "turned": was});
    if turned == Turned::Noted {
        out.json(&summary(Exit::Done, fields));
    } else {
        done(path, me, out, fields);
    }
    Ok(Exit::Done)
}

/// Approves one commit.
pub(crate) fn approve(args: &ApproveArgs, me: &Me, out: &Out) -> Result<Exit, Failure> {
    let path = &args.goal.path;
    let because = because(&args.because.who, args.because.reason.as_deref());
    let approval = operator::approve(path, &args.task, args.time, &because, SystemClock::new())?;
    out.say(format!(
        "approved: one commit of {}, until {}",
        args.task,
        when::moment(approval.until)
    ));
    let denied = approval.still_denied.as_ref();
    match denied {
        None => out.note("the gate would allow it now, if it is verified"),
        Some(denial) => out.warn(format!(
            "the gate would not allow it all the same: {}",
            escape::cut(&denial.reason, TEXT_CHARS)
        )),
    }
    let fields = json!({
        "task": args.task.as_str(),
        "until": approval.until.to_string(),
        "still_denied": denied.map(|denial| &denial.reason),
    });
    done(path, me, out, fields);
    Ok(Exit::Done)
}

/// `by ann since 2026-11-22 10:00:00Z: smoke`
pub(crate) fn standing(halt: &Halt) -> String {
    format!(
        "by {} since {}: {}",
        escape::cut(&halt.by, TEXT_CHARS),
        when::moment(halt.at),
        escape::cut(&halt.reason, TEXT_CHARS)
    )
}

/// A halt for programs.
pub(crate) fn halt_json(halt: &Halt) -> Value {
    json!({
        "id": halt.id.as_str(),
        "by": halt.by,
        "reason": halt.reason,
        "at": halt.at.to_string(),
        "effective": halt.effective,
    })
}

fn because(who: &WhoArgs, reason: Option<&str>) -> Because {
    Because::new(&who.by.clone().unwrap_or_else(login), reason.unwrap_or(UNSAID))
}

fn done(path: &Path, me: &Me, out: &Out, mut fields: Value) {
    // While a halt stands, nothing starts.
    let is_halted = look(path).is_ok_and(|seen| seen.state.halt().is_some());
    let step = me.on(if is_halted { "resume --reason TEXT" } else { "run" }, path);
    if let Some(fields) = fields.as_object_mut() {
        fields.insert("next".into(), json!([step]));
    }
    out.json(&summary(Exit::Done, fields));
    out.hint(&format!("`{step}`"));
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
