//! Shows on a terminal that something slow goes on, and how long it has taken.

use indicatif::{ProgressBar, ProgressStyle};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Nothing is shown before this.
const PATIENCE: Duration = Duration::from_secs(1);

/// A line on stderr that appears after a second and goes when this is dropped.
#[derive(Debug)]
pub struct Progress {
    done: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    message: Arc<Mutex<String>>,
}

impl Progress {
    /// Starts to wait. Shows nothing at all unless `visible`.
    pub fn start(visible: bool, what: &str) -> Progress {
        let message = Arc::new(Mutex::new(what.to_string()));
        if !visible {
            return Progress { done: None, thread: None, message };
        }
        let (done, finished) = channel();
        let shown = message.clone();
        let text = move || shown.lock().map_or_else(|_| String::new(), |text| text.clone());
        let thread = std::thread::spawn(move || {
            if finished.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            let bar = ProgressBar::new_spinner().with_message(text()).with_elapsed(PATIENCE);
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
                bar.set_style(style);
            }
            while finished.recv_timeout(Duration::from_millis(100)) == Err(RecvTimeoutError::Timeout) {
                bar.set_message(text());
                bar.tick();
            }
            bar.finish_and_clear();
        });
        Progress { done: Some(done), thread: Some(thread), message }
    }

    /// Says something else from now on.
    pub fn say(&self, what: String) {
        if let Ok(mut message) = self.message.lock() {
            *message = what;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.done.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread that draws is no reason to fail.
            let _ = thread.join();
        }
    }
}
