//! Writing into a goal.json what changed, and leaving every other byte as the operator wrote it.

use serde_json::{Value, json};

use super::Status;
use super::progress::{Progress, TaskProgress};
use super::text::{self, Entry};

/// The text with the progress in it replaced, and nothing else changed; it ends with a newline. Tasks beyond those of
/// `progress` keep what they have.
pub(super) fn with_progress(source: &str, progress: &Progress) -> String {
    let root = text::root(source);
    let mut writer = Writer {
        source,
        out: String::with_capacity(source.len() + 128 * (progress.tasks.len() + 1)),
    };
    writer.copy(0, root);
    let end = writer.object(root, &top(progress), Some(&progress.tasks));
    writer.copy(end, source.len());
    if !writer.out.ends_with('\n') {
        writer.out.push('\n');
    }
    writer.out
}

/// The text with one more item at the end of its `tasks`, laid out like the one before it. `None` where it has no
/// such list.
pub(super) fn with_task(source: &str, task: &Value) -> Option<String> {
    let root = text::root(source);
    let is_tasks = |entry: &Entry| {
        entry
            .key
            .as_ref()
            .is_some_and(|key| text::is(source, key, "tasks"))
    };
    let list = text::entries(source, root).find(is_tasks)?.value;
    let mut from = list.start + 1;
    let mut gap = "";
    let mut last = "";
    for item in text::entries(source, list.start) {
        gap = source.get(from..item.value.start)?;
        last = source.get(item.value.clone())?;
        from = item.value.end;
    }
    let pretty = format!("{task:#}");
    let item = if last.contains('\n') {
        // A JSON string holds no newline, so every one of these is layout.
        let margin = gap.rsplit_once('\n').map_or("", |(_, margin)| margin);
        pretty.replace('\n', &format!("\n{margin}"))
    } else {
        on_one_line(&pretty)
    };
    let comma = match gap {
        "" if !last.is_empty() => ", ",
        _ if last.is_empty() || gap.contains(',') => "",
        _ => ",",
    };
    Some(format!(
        "{}{comma}{gap}{item}{}",
        source.get(..from)?,
        source.get(from..)?
    ))
}

/// The text with members of its top level, or of the object that it holds there as `inside`, set to a value or, with none,
/// taken out. `None` where there is no such object.
pub(super) fn with_members(source: &str, inside: Option<&str>, members: &[Member<'_>]) -> Option<String> {
    let root = text::root(source);
    let at = match inside {
        None => root,
        Some(name) => {
            let is_it = |entry: &Entry| entry.key.as_ref().is_some_and(|key| text::is(source, key, name));
            let place = text::entries(source, root).find(is_it)?.value;
            source
                .get(place.clone())?
                .starts_with('{')
                .then_some(place.start)?
        }
    };
    let fields: Vec<Field> = members
        .iter()
        .map(|(name, value)| (*name, value.clone().map_or(Wanted::Nothing, Wanted::Set)))
        .collect();
    let out = String::with_capacity(source.len() + 256);
    let mut writer = Writer { source, out };
    writer.copy(0, at);
    let end = writer.object(at, &fields, None);
    writer.copy(end, source.len());
    Some(writer.out)
}

/// A member's name, and its value or none to take it out.
pub(super) type Member<'n> = (&'n str, Option<Value>);

/// A pretty document on one line, as people write a short one.
fn on_one_line(pretty: &str) -> String {
    let mut line = String::with_capacity(pretty.len());
    for part in pretty.lines().map(str::trim_start) {
        if !line.is_empty() && !line.ends_with(['{', '[']) && !part.starts_with(['}', ']']) {
            line.push(' ');
        }
        line.push_str(part);
    }
    line
}

/// What a progress key is to say.
enum Wanted {
    /// This.
    Set(Value),
    /// This, but only where the key is there already: it says what its absence says.
    Usual(Value),
    /// Nothing: the key goes.
    Nothing,
}

type Field<'n> = (&'n str, Wanted);

fn top(progress: &Progress) -> [Field<'static>; 4] {
    let checkpoint = progress
        .checkpoint
        .map(|at| json!({"seq": at.seq, "hash": at.hash}));
    [
        ("runs", number(progress.runs)),
        ("wall_seconds_used", seconds(progress.wall_used)),
        ("last_success_at", some(progress.last_success_at)),
        ("checkpoint", some(checkpoint)),
    ]
}

fn of_task(progress: &TaskProgress) -> [Field<'static>; 7] {
    let status = match progress.status {
        Status::Pending => Wanted::Usual("pending".into()),
        Status::Running => Wanted::Set("running".into()),
        Status::Done => Wanted::Set("done".into()),
        Status::Blocked => Wanted::Set("blocked".into()),
    };
    [
        ("status", status),
        ("attempts", number(progress.attempts)),
        ("started", some(progress.started)),
        ("done", some(progress.done)),
        ("reason", some(progress.reason.as_deref())),
        ("verify_tail", some(progress.verify_tail.as_deref())),
        ("commit", some(progress.commit.as_deref())),
    ]
}

fn number(number: u64) -> Wanted {
    if number == 0 {
        Wanted::Usual(number.into())
    } else {
        Wanted::Set(number.into())
    }
}

/// Milliseconds as a number of seconds, without a fraction where there is none.
fn seconds(duration: std::time::Duration) -> Wanted {
    if duration.subsec_millis() == 0 {
        return number(duration.as_secs());
    }
    // The division by a thousand is rounded to the nearest double, which prints as the three decimals that it came from.
    // Milliseconds stay below 2^53 for 285,000 years.
    Wanted::Set((duration.as_millis() as f64 / 1000.0).into())
}

fn some(value: Option<impl serde::Serialize>) -> Wanted {
    value.map_or(Wanted::Nothing, |value| Wanted::Set(json!(value)))
}

struct Writer<'s> {
    source: &'s str,
    out: String,
}

impl Writer<'_> {
    fn copy(&mut self, from: usize, to: usize) {
        self.out.push_str(self.source.get(from..to).unwrap_or_default());
    }

    /// Writes the object that begins at `at`, and the objects of its list `tasks` where there are tasks to write;
    /// returns the byte after it.
    fn object(&mut self, at: usize, fields: &[Field<'_>], tasks: Option<&[TaskProgress]>) -> usize {
        let source = self.source;
        let mut written = [false; 8];
        let mut is_first = true;
        let mut from = at + 1;
        // The white space and comma before the last key, and what stands between it and its value.
        let (mut gap, mut colon) = ("", ": ");
        self.out.push('{');
        for entry in text::entries(source, at) {
            let Some(key) = entry.key else { continue };
            gap = source.get(from..key.start).unwrap_or_default();
            colon = source.get(key.end..entry.value.start).unwrap_or_default();
            from = entry.value.end;
            let known = fields.iter().position(|(name, _)| text::is(source, &key, name));
            let wanted = known.and_then(|known| {
                written
                    .get_mut(known)
                    .into_iter()
                    .for_each(|written| *written = true);
                fields.get(known).map(|(_, wanted)| wanted)
            });
            if matches!(wanted, Some(Wanted::Nothing)) {
                continue;
            }
            self.gap(gap, is_first);
            is_first = false;
            self.copy(key.start, entry.value.start);
            match (wanted, tasks) {
                (Some(Wanted::Set(value) | Wanted::Usual(value)), _) => self.value(&entry.value, value),
                (None, Some(tasks)) if text::is(source, &key, "tasks") => self.tasks(&entry.value, tasks),
                _ => self.copy(entry.value.start, entry.value.end),
            }
        }
        for ((name, wanted), _) in fields.iter().zip(written).filter(|(_, written)| !written) {
            if let Wanted::Set(value) = wanted {
                self.gap(gap, is_first);
                is_first = false;
                self.out.push_str(&format!("\"{name}\"{colon}{value}"));
            }
        }
        let end = from
            + source
                .get(from..)
                .unwrap_or_default()
                .find('}')
                .map_or(0, |close| close + 1);
        self.copy(from, end);
        end
    }

    /// Writes what stands before a key, with a comma exactly where one belongs.
    fn gap(&mut self, gap: &str, is_first: bool) {
        match (is_first, gap.contains(',')) {
            (true, true) => self.out.push_str(&gap.replacen(',', "", 1)),
            (false, false) => self.out.push_str(&format!(",{gap}")),
            _ => self.out.push_str(gap),
        }
    }

    /// Writes a value, as it stands where it says the same already.
    fn value(&mut self, place: &std::ops::Range<usize>, value: &Value) {
        let old = self.source.get(place.clone()).unwrap_or_default();
        match serde_json::from_str::<Value>(old) {
            Ok(old) if old == *value => self.copy(place.start, place.end),
            _ => self.out.push_str(&value.to_string()),
        }
    }

    fn tasks(&mut self, list: &std::ops::Range<usize>, tasks: &[TaskProgress]) {
        let mut from = list.start;
        for (item, progress) in text::entries(self.source, list.start).zip(tasks) {
            self.copy(from, item.value.start);
            from = self.object(item.value.start, &of_task(progress), None);
        }
        self.copy(from, list.end);
    }
}
