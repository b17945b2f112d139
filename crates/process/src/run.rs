//! The recipe: start, watch, stop if need be, sweep, account.
//!
//! One thread sleeps in `poll` until something happens: output, an order, the leader's end, or the
//! next deadline. The same code runs jobs inside the guardian and in the driver itself.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::Signal;

use crate::error::ProcessError;
use crate::job::{Ending, Job, Outcome, Started, Stopped};
use crate::leader::Leader;
use crate::output::Sink;
use crate::pump::Pump;
use crate::reaper::Reaper;
use crate::tree;

/// How late the end of a leader may be noticed where it is no event (macOS).
const MAX_TICK: Duration = Duration::from_millis(20);

/// How often a group is looked at whose leader has ended: the ends of the others are no events.
const LINGER_TICK: Duration = Duration::from_millis(20);

/// Where orders come from while a job runs.
pub(crate) trait Orders {
    /// Readable when there may be an order.
    fn fd(&self) -> BorrowedFd<'_>;
    /// Called when it is.
    fn next(&mut self) -> Order;
}

/// What a runner can be told while a job runs.
pub(crate) enum Order {
    /// Nothing after all.
    Continue,
    /// Stop the job: TERM, and KILL after this time.
    Cancel(Duration),
    /// Nobody waits for the outcome any more.
    Abandon,
}

/// How far the sweep reaches.
#[derive(Clone, Copy)]
pub(crate) enum Scope<'a> {
    /// The job's process group.
    Group,
    /// Every descendant of this process, which is a subreaper and has no other children.
    Tree(&'a Reaper),
}

/// Runs a job to its end. None: the order was to abandon it, and only its group has been killed.
pub(crate) fn run(
    job: &Job,
    orders: &mut dyn Orders,
    scope: Scope<'_>,
    on_start: &mut dyn FnMut(&Started),
) -> Result<Option<Outcome>, ProcessError> {
    let begun = Instant::now();
    let sink = Sink::create(&job.output, job.output_cap)?;
    let (pump, writer) = Pump::new(sink, begun).map_err(|e| ProcessError::system("open a pipe", e))?;
    let leader = match Leader::start(job, writer) {
        Ok(leader) => leader,
        Err(reason) => return not_started(reason, None, pump, begun).map(Some),
    };
    on_start(&leader.started());
    let mut watch = Watch {
        job,
        orders,
        scope,
        pump,
        leader,
        begun,
        stopping: None,
    };
    match watch.until_leader_ends()? {
        Verdict::Abandoned => Ok(None),
        Verdict::Ended => watch.conclude().map(Some),
    }
}

/// The outcome of a job that was cancelled before it began.
pub(crate) fn cancelled_before_start(job: &Job) -> Result<Outcome, ProcessError> {
    let begun = Instant::now();
    let sink = Sink::create(&job.output, job.output_cap)?;
    let (pump, _) = Pump::new(sink, begun).map_err(|e| ProcessError::system("open a pipe", e))?;
    not_started(
        "cancelled before the start".to_owned(),
        Some(Stopped::Cancelled),
        pump,
        begun,
    )
}

fn not_started(
    reason: String,
    stopped: Option<Stopped>,
    pump: Pump,
    begun: Instant,
) -> Result<Outcome, ProcessError> {
    Ok(Outcome {
        ending: Ending::CouldNotStart(reason),
        stopped,
        output: pump.finish()?,
        elapsed: begun.elapsed(),
        swept: 0,
    })
}

struct Watch<'a> {
    job: &'a Job,
    orders: &'a mut dyn Orders,
    scope: Scope<'a>,
    pump: Pump,
    leader: Leader,
    begun: Instant,
    stopping: Option<Stopping>,
}

/// TERM has been sent.
struct Stopping {
    /// None: because the output could not be written.
    why: Option<Stopped>,
    /// When KILL follows. None: it has.
    kill_at: Option<Instant>,
    /// When to give up on processes that do not even die of that.
    give_up_at: Instant,
}

enum Verdict {
    Ended,
    Abandoned,
}

/// What `poll` reported.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Orders,
    Output,
    Leader,
    Children,
}

impl Watch<'_> {
    fn until_leader_ends(&mut self) -> Result<Verdict, ProcessError> {
        loop {
            self.enforce(Instant::now())?;
            let happened = self.wait(self.next_deadline())?;
            if self.react(&happened)? {
                return Ok(Verdict::Abandoned);
            }
            let look = self.leader.watch().is_none() || happened.contains(&Source::Leader);
            if look
                && self
                    .leader
                    .ended()
                    .map_err(|e| ProcessError::system("watch the job", e))?
            {
                return Ok(Verdict::Ended);
            }
        }
    }

    /// The leader has ended and is a zombie: ends the rest, takes the status, completes the file.
    fn conclude(mut self) -> Result<Outcome, ProcessError> {
        self.linger()?;
        let group = self.leader.pid();
        let ending = self.leader.reap()?;
        let swept = match self.scope {
            Scope::Group => tree::await_group(group)?,
            Scope::Tree(_) => tree::end_children(Some(tree::PATIENCE))?,
        };
        Ok(Outcome {
            ending,
            stopped: self.stopping.and_then(|stopping| stopping.why),
            output: self.pump.finish()?,
            elapsed: self.begun.elapsed(),
            swept,
        })
    }

    /// Gives the others in the group what is left of the grace after the leader took its TERM: a
    /// shell dies at once while the tool below it still cleans up.
    fn linger(&mut self) -> Result<(), ProcessError> {
        while let Some(Stopping {
            kill_at: Some(kill_at),
            ..
        }) = self.stopping
            && Instant::now() < kill_at
            && tree::group_lives(self.leader.pid())?
        {
            let happened = self.wait(Some(kill_at.min(Instant::now() + LINGER_TICK)))?;
            if self.react(&happened)? {
                break;
            }
        }
        Ok(())
    }

    /// Begins or completes the stop if a deadline has passed.
    fn enforce(&mut self, now: Instant) -> Result<(), ProcessError> {
        match &mut self.stopping {
            None => {
                if let Some(why) = self.violation(now) {
                    self.stop(why, self.job.grace);
                }
            }
            Some(stopping) if stopping.kill_at.is_some_and(|at| now >= at) => {
                stopping.kill_at = None;
                self.leader.signal_group(Signal::KILL);
            }
            Some(stopping) if now >= stopping.give_up_at => {
                let pids = vec![self.leader.started().pid];
                return Err(ProcessError::Survivors { pids });
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// The limit that is exceeded, if any; inner None: the output file failed.
    fn violation(&self, now: Instant) -> Option<Option<Stopped>> {
        let sink = self.pump.sink();
        if sink.failed() {
            Some(None)
        } else if self.job.output_max.is_some_and(|max| sink.bytes() > max) {
            Some(Some(Stopped::Output))
        } else if self.wall_deadline().is_some_and(|at| now >= at) {
            Some(Some(Stopped::Wall))
        } else if self.idle_deadline().is_some_and(|at| now >= at) {
            Some(Some(Stopped::Idle))
        } else {
            None
        }
    }

    fn wall_deadline(&self) -> Option<Instant> {
        self.job.wall.and_then(|wall| self.begun.checked_add(wall))
    }

    fn idle_deadline(&self) -> Option<Instant> {
        self.job
            .idle
            .and_then(|idle| self.pump.last_byte().checked_add(idle))
    }

    /// Sends TERM, or moves the KILL of a stop that has begun closer.
    fn stop(&mut self, why: Option<Stopped>, grace: Duration) {
        let kill_at = Instant::now() + grace.min(Duration::from_secs(3600));
        if let Some(stopping) = &mut self.stopping {
            stopping.kill_at = stopping.kill_at.map(|at| at.min(kill_at));
            return;
        }
        self.leader.signal_group(Signal::TERM);
        // A stopped process hears TERM only once it is continued.
        self.leader.signal_group(Signal::CONT);
        self.stopping = Some(Stopping {
            why,
            kill_at: Some(kill_at),
            give_up_at: kill_at + tree::PATIENCE,
        });
    }

    fn next_deadline(&self) -> Option<Instant> {
        let deadline = match &self.stopping {
            Some(stopping) => stopping.kill_at.or(Some(stopping.give_up_at)),
            None => [self.wall_deadline(), self.idle_deadline()]
                .into_iter()
                .flatten()
                .min(),
        };
        if self.leader.watch().is_some() {
            return deadline;
        }
        // The end of the leader is no event here: look at it, ever less often.
        let tick = (self.begun.elapsed() / 8).clamp(Duration::from_micros(200), MAX_TICK);
        let tick = Instant::now() + tick;
        Some(deadline.map_or(tick, |at| at.min(tick)))
    }

    /// Sleeps until something happens or the deadline passes.
    fn wait(&self, deadline: Option<Instant>) -> Result<Vec<Source>, ProcessError> {
        let mut fds = Vec::with_capacity(4);
        fds.push((Source::Orders, self.orders.fd()));
        fds.extend(self.pump.fd().map(|fd| (Source::Output, fd)));
        fds.extend(self.leader.watch().map(|fd| (Source::Leader, fd)));
        if let Scope::Tree(reaper) = self.scope {
            fds.push((Source::Children, reaper.fd()));
        }
        let polled: Vec<BorrowedFd<'_>> = fds.iter().map(|&(_, fd)| fd).collect();
        let ready = poll(&polled, deadline).map_err(|e| ProcessError::system("poll", e))?;
        let happened = fds.iter().zip(ready).filter(|(_, ready)| *ready);
        Ok(happened.map(|(&(source, _), _)| source).collect())
    }

    /// Returns true if the job is to be abandoned.
    fn react(&mut self, happened: &[Source]) -> Result<bool, ProcessError> {
        for source in happened {
            match source {
                Source::Output => {
                    self.pump
                        .step()
                        .map_err(|e| ProcessError::system("read the job's output", e))?;
                }
                Source::Orders => match self.orders.next() {
                    Order::Continue => {}
                    Order::Cancel(grace) => self.stop(Some(Stopped::Cancelled), grace),
                    Order::Abandon => return Ok(true),
                },
                Source::Children => {
                    if let Scope::Tree(reaper) = self.scope {
                        reaper.reap_all_but(self.leader.pid());
                    }
                }
                Source::Leader => {}
            }
        }
        Ok(false)
    }
}

/// Which of the descriptors are readable or closed at the other end; none when the deadline passed
/// or a signal came.
pub(crate) fn poll(fds: &[BorrowedFd<'_>], deadline: Option<Instant>) -> io::Result<Vec<bool>> {
    let mut polled: Vec<PollFd<'_>> = fds.iter().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
    // A day is as good as any longer time: the caller asks again.
    let timeout = deadline.map(|at| {
        at.saturating_duration_since(Instant::now())
            .min(Duration::from_secs(86_400))
    });
    let timeout = timeout
        .map(Timespec::try_from)
        .transpose()
        .map_err(io::Error::other)?;
    match rustix::event::poll(&mut polled, timeout.as_ref()) {
        Ok(_) => Ok(polled.iter().map(|fd| !fd.revents().is_empty()).collect()),
        Err(rustix::io::Errno::INTR) => Ok(vec![false; fds.len()]),
        Err(errno) => Err(errno.into()),
    }
}
