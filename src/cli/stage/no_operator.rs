//! Stage without an operator: allows nothing and judges nothing.

use super::{Laid, Stage};
use crate::cli::approach::Approach;
use crate::cli::consent::Said;
use crate::cli::set_up::SetUp;
use crate::episode::Outcome;

/// Stage of a program without terminal and page.
pub struct NoOperator;

impl Stage for NoOperator {
    fn set_up(&mut self, _set_up: &SetUp, _motion: Option<&Approach>) -> anyhow::Result<Laid> {
        anyhow::bail!("no operator can lay the scene: run it at a terminal, or add --page")
    }

    fn may_move(&mut self, _motion: &Approach) -> anyhow::Result<Said> {
        Ok(Said::Nobody)
    }

    fn may_recover(&mut self, _trouble: &str, _does: &str) -> anyhow::Result<Said> {
        Ok(Said::Nobody)
    }

    fn judge(&mut self) -> anyhow::Result<Option<Outcome>> {
        Ok(None)
    }

    fn time_out(&mut self) -> anyhow::Result<Outcome> {
        Ok(Outcome::Failure { judge: "clock".into(), why: "time ran out".into() })
    }
}
