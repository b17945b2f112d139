//! A limit of the budget is reached: the run halts at once, and a person hears of it.

use std::time::{Duration, Instant};

use machine_driver_tests::{Bot, Place, Running, TIME_MAX};
use serde_json::json;

use crate::report::Ran;

/// From the limit to the alert, at most.
const WITHIN: Duration = Duration::from_secs(5);

pub(crate) fn run(times: usize) -> Ran {
    let mut longest = Duration::ZERO;
    let limits = [
        json!({ "max_wall_seconds": 1 }),
        json!({ "max_worker_runs": 1 }),
        json!({ "max_tokens": 10 }),
        json!({ "max_usd": 0.01 }),
    ];
    for n in 0..times {
        let limit = &limits[n % limits.len()];
        let is_time = limit["max_wall_seconds"].is_number();
        let place = Place::new(&json!({
            "worker_cmd": if is_time { "sleep 60" } else {
                "echo '{\"input_tokens\": 20, \"output_tokens\": 1, \"usd\": 1}' > \"$MACHINE_USAGE_FILE\"" },
            "verify_cmd": "false", "budget": limit,
            "tasks": [{ "id": "a", "goal": "x" }, { "id": "b", "goal": "y" }],
        }));
        let bot = Bot::start(&[]);
        let begun = Instant::now();
        let mut command = place.command(["run"]);
        command
            .env(
                "TELEGRAM_BOT_TOKEN",
                "123456:AAnotasecretbutshapedlikeone_abcdefgh",
            )
            .env("TELEGRAM_CHAT_ID", "42")
            .env("TELEGRAM_API_URL", bot.url());
        let ended = Running::start(command).wait(TIME_MAX);
        ended.exits(2).says(&["BUDGET HALT"]);
        // Time up to the limit itself is the goal's, not the driver's.
        let own = if is_time {
            Duration::from_secs(1)
        } else {
            Duration::ZERO
        };
        let took = begun.elapsed().saturating_sub(own);
        assert!(took < WITHIN, "{limit}: halt and alert took {took:?}");
        let told = bot.requests().iter().any(|request| {
            request.body["text"]
                .as_str()
                .is_some_and(|text| text.contains("BUDGET HALT"))
        });
        assert!(told, "{limit}: nobody was told");
        assert_eq!(place.history().count("budget_halt"), 1);
        place.holds();
        place.is_quiet();
        longest = longest.max(took);
    }
    Ran {
        what: format!(
            "a run over max_wall_seconds (while a worker sleeps), max_worker_runs, max_tokens or max_usd: exit 2, and the alert at \
             a Telegram server of the test's within {} s",
            WITHIN.as_secs()
        ),
        times,
        seen: format!(
            "the longest took {} ms beyond the limit, the start of the driver included",
            longest.as_millis()
        ),
        not_run: None,
    }
}
