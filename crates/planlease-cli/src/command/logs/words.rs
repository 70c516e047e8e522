//! What happens to an output besides what is written, in a line for people: `logs` and `top` say the same.

use planlease_observe::Event;

use crate::output::plain;

/// The line about an event; `None` if it is output, or an end like any other.
pub(crate) fn of_event(event: &Event) -> Option<String> {
    Some(match event {
        Event::Attempt { attempt, by, .. } => format!("attempt {attempt}, by {}", plain(by)),
        Event::Stored(_) => "the output is not to be had as a whole; this is what etcd has of it".to_owned(),
        Event::LeftOut { bytes, .. } => format!("{bytes} bytes are not kept any more"),
        Event::Ended { attempt, how: None } => {
            format!("attempt {attempt}: the process that ran it is gone, and its output ends here")
        }
        Event::Trouble { attempt, why } => format!("attempt {attempt}: {}; trying again", plain(why)),
        Event::NotKept { attempt, why } => {
            format!("the output of attempt {attempt} is not kept: {}", plain(why))
        }
        Event::NotBegun { attempt, status } => {
            format!("attempt {attempt} has not begun, and the task is {status}")
        }
        _ => return None,
    })
}
