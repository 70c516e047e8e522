//! `top`: the fleet in a terminal, live.

mod follow;
mod keyboard;
mod orders;
mod screen;

use std::{io::IsTerminal as _, time::Duration};

use clap::Args;
use planlease_top::{Options, Order, Top};
use planlease_watcher::Scope;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use self::{follow::Follower, keyboard::Keyboard, orders::Orders, screen::Screen};
use super::watch::feed::{Feed, News};
use crate::{
    exit::Exit,
    failure::Failure,
    invocation::Invocation,
    output::{ChangesInWords, Format, Printable, stdout, text},
    signals::Signals,
};

/// How often the screen is drawn at most: changes in between are drawn together.
const FRAME: Duration = Duration::from_millis(50);

/// How often it is drawn at least, since ages grow.
const TICK: Duration = Duration::from_secs(1);

/// Look at the fleet in a terminal, live, and act on it
///
/// Shows all plans, those first that need a person, with their owners and progress, and the last changes; for
/// a plan its tasks. Enter goes into a row, Esc back, `w` says why, `l` follows the output of a task, `a` and
/// `x` approve and reject what waits for it, `/` filters, `:` goes to another view, `?` shows all keys. What
/// changes something asks for a reason and shows the command that it runs.
///
/// The first line shows how old the data is: `live`, or for how long there has been no connection.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  planlease top\n  planlease --context prod top")]
pub(crate) struct TopArgs {}

impl TopArgs {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<Exit, Failure> {
        if !stdout().is_terminal() || !std::io::stdin().is_terminal() {
            return Err(Failure::usage("`top` needs a terminal")
                .remedy("`planlease status` and `planlease watch` print the same for files and programs."));
        }
        let mut signals = Signals::take()?;
        let coordinator = invocation.connect().await?;
        let layout = coordinator.layout().clone();
        let orders = Orders::new(&invocation.settings()?, invocation.environment());
        let colors = invocation.environment().get("NO_COLOR").is_none();
        let store = invocation.store()?.to_string();
        let mut top = Top::new(Options::default().colors(colors).store(store));
        let mut follower = Follower::new(coordinator.clone());
        let mut feed = Feed::open(coordinator, &Scope::namespace(), None).await?;
        top.update(feed.snapshot().clone());
        let mut screen = Screen::take()?;
        let mut keyboard = Keyboard::start();
        let mut running = None;
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut draw, mut next_frame) = (true, Instant::now());
        loop {
            tokio::select! {
                biased;
                () = signals.next() => return Ok(Exit::Done),
                event = keyboard.next() => {
                    draw = true;
                    let order = event?.and_then(|key| top.press(key, invocation.now()));
                    match order {
                        None => {}
                        Some(Order::Quit) => return Ok(Exit::Done),
                        Some(Order::Suspend) => screen.suspend()?,
                        Some(_) if running.is_some() => top.done(false, "the last command has not ended yet"),
                        Some(order) => running = Some(orders.carry_out(order)),
                    }
                    follower.turn_to(top.followed());
                }
                () = sleep_until(next_frame), if draw => {
                    screen.draw(&mut top, invocation.now())?;
                    draw = false;
                    next_frame = Instant::now() + FRAME;
                }
                ended = orders::end_of(&mut running) => {
                    ended.bring_to(&mut top);
                    draw = true;
                }
                news = feed.next() => {
                    match news? {
                        News::Changes(set) => {
                            let words = text(Format::Table, &ChangesInWords::new(&set, &layout), invocation.now())?;
                            top.changed(Printable::styled(&words, false).as_str().lines().map(str::to_owned));
                            top.update(feed.snapshot().clone());
                        }
                        News::Broken(why) => top.connected(Some(why), invocation.now()),
                        News::Reconnected => top.connected(None, invocation.now()),
                    }
                    draw = true;
                }
                // After what is rare: an output may come without a pause.
                piece = follower.next() => {
                    follower.bring(piece, &mut top);
                    draw = true;
                }
                _ = ticks.tick() => draw = true,
            }
        }
    }
}
