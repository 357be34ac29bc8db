//! The one timer an actor keeps for the next deadline of its state.
//!
//! Nothing depends on when it goes off: every drive of an actor runs what is due first, because actix polls timers only when a mailbox
//! is empty. So one that goes off early finds nothing due and is armed again.

use std::time::Duration;

use actix::{Actor, AsyncContext, SpawnHandle};

use crate::clock;

/// At most one wake-up lies ahead.
#[derive(Debug, Default)]
pub struct Timer {
    armed: Option<(u64, SpawnHandle)>,
}

impl Timer {
    /// Sees to it that `wake` is called by `due_us`, in [`clock::now_us`] time. A wake-up that lies ahead and comes sooner is left as it is.
    pub fn arm_us<A>(&mut self, ctx: &mut A::Context, due_us: u64, wake: fn(&mut A, &mut A::Context))
    where
        A: Actor,
        A::Context: AsyncContext<A>,
    {
        let now_us = clock::now_us();
        if let Some((armed_us, timer)) = self.armed {
            if armed_us > now_us && armed_us <= due_us {
                return;
            }
            ctx.cancel_future(timer);
        }
        let wait = Duration::from_micros(due_us.saturating_sub(now_us));
        self.armed = Some((due_us, ctx.run_later(wait, wake)));
    }

    /// The same for states that count in milliseconds; nothing to do where nothing is due.
    pub fn arm_ms<A>(&mut self, ctx: &mut A::Context, due_ms: Option<u64>, wake: fn(&mut A, &mut A::Context))
    where
        A: Actor,
        A::Context: AsyncContext<A>,
    {
        if let Some(due_ms) = due_ms {
            self.arm_us(ctx, due_ms.saturating_mul(1_000), wake);
        }
    }
}

#[cfg(test)]
mod tests {
    use actix::{Context, Handler, Message};

    use super::*;

    /// Wants to be woken at each of its deadlines, and counts how often it was.
    #[derive(Default)]
    struct Sleeper {
        timer: Timer,
        dues_us: Vec<u64>,
        wakes: usize,
    }

    impl Actor for Sleeper {
        type Context = Context<Self>;
    }

    impl Sleeper {
        fn drive(&mut self, ctx: &mut Context<Self>) {
            let now_us = clock::now_us();
            self.dues_us.retain(|due_us| *due_us > now_us);
            if let Some(due_us) = self.dues_us.iter().min() {
                self.timer.arm_us(ctx, *due_us, |sleeper: &mut Self, ctx| {
                    sleeper.wakes += 1;
                    sleeper.drive(ctx);
                });
            }
        }
    }

    #[derive(Message)]
    #[rtype(result = "(usize, usize)")]
    struct Due(Vec<u64>);

    impl Handler<Due> for Sleeper {
        type Result = actix::MessageResult<Due>;

        fn handle(&mut self, Due(dues_us): Due, ctx: &mut Context<Self>) -> Self::Result {
            self.dues_us.extend(dues_us);
            self.drive(ctx);
            actix::MessageResult((self.dues_us.len(), self.wakes))
        }
    }

    #[actix_rt::test]
    async fn every_deadline_is_met_in_whatever_order_they_are_set() {
        let sleeper = Sleeper::default().start();
        let now_us = clock::now_us();
        for after_ms in [40, 5, 20, 60, 5] {
            sleeper.send(Due(vec![now_us + after_ms * 1_000])).await.unwrap();
        }
        loop {
            actix_rt::time::sleep(Duration::from_millis(20)).await;
            let (left, wakes) = sleeper.send(Due(Vec::new())).await.unwrap();
            if left == 0 {
                assert!((1..=5).contains(&wakes), "{wakes}");
                return;
            }
        }
    }

    #[actix_rt::test]
    async fn an_actor_that_drives_often_has_one_wake_up_ahead() {
        let sleeper = Sleeper::default().start();
        let due_us = clock::now_us() + 30_000;
        for _ in 0..1_000 {
            sleeper.send(Due(vec![due_us])).await.unwrap();
        }
        actix_rt::time::sleep(Duration::from_millis(100)).await;
        let (left, wakes) = sleeper.send(Due(Vec::new())).await.unwrap();
        assert!(left == 0 && wakes <= 1, "{left} left, {wakes} wakes");
    }
}
