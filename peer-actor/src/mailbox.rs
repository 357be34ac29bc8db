//! House rules of sending between actors.
//!
//! An actix mailbox is not backpressure: `do_send`, `send` and a cloned `try_send` all queue without bound. So bounds come from the
//! protocol: every frame in a mailbox holds a [`Permit`](crate::transport::Permit) that keeps its socket from being read, a command
//! waits for its reply, a snapshot replaces the last one. What is sent through [`post`] must be bounded in one of these ways; nothing
//! else may call `do_send`.

use actix::{Message, Recipient};

/// Queues a message whose number is bounded by a permit, by the life of a link, or by a person's actions.
///
/// A closed mailbox drops it: whoever stopped has no use for it.
#[allow(clippy::disallowed_methods, reason = "the one place where the house rules are applied")]
pub fn post<M>(to: &Recipient<M>, message: M)
where
    M: Message + Send + 'static,
    M::Result: Send,
{
    to.do_send(message);
}

#[cfg(test)]
mod tests {
    use actix::{Actor, Context, Handler};

    use super::*;

    struct Stuck;

    impl Actor for Stuck {
        type Context = Context<Self>;

        fn started(&mut self, ctx: &mut Self::Context) {
            ctx.set_mailbox_capacity(4);
        }
    }

    struct Job;

    impl Message for Job {
        type Result = ();
    }

    impl Handler<Job> for Stuck {
        type Result = ();

        fn handle(&mut self, _: Job, _: &mut Self::Context) {}
    }

    /// If an upgrade of actix changes this, the rules above can be relaxed.
    #[actix_rt::test]
    async fn only_a_kept_handle_feels_the_mailbox_bound() {
        let stuck = Stuck.start();
        actix_rt::task::yield_now().await;
        let refused = |count: usize| count.saturating_sub(8);
        let kept = stuck.clone();
        let kept_refused = (0..100).filter(|_| kept.try_send(Job).is_err()).count();
        let cloned_refused = (0..100).filter(|_| stuck.clone().try_send(Job).is_err()).count();
        assert!(
            refused(kept_refused) > 0,
            "a kept handle is refused beyond the capacity, was {kept_refused}"
        );
        assert_eq!(cloned_refused, 0, "a fresh clone always gets a slot");
    }
}
