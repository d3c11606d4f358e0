//! Wormhole transfers: wishes carried out by whoever runs them.

use transfers::transfer::TransferStatus;

use super::Work;
use crate::cli::transfers::TransfersCommand;
use crate::effect::Wish;
use crate::ops::Failure;

impl Work {
    pub(super) fn fulfil(&self, wish: &Wish) -> Result<Option<Box<TransferStatus>>, Failure> {
        let carriers = &self.carriers;
        if !matches!(wish, Wish::Transfers(command) if !command.changes_something()) {
            self.desk.may_change()?;
        }
        let request = match wish {
            Wish::Receive(args) => self.desk.to_receive(args)?,
            Wish::Send(args) => self.desk.to_send(args)?,
            Wish::Transfers(command) => return self.of_those_begun(command),
        };
        Ok(Some(Box::new(carriers.start(&request)?)))
    }

    fn of_those_begun(
        &self,
        command: &TransfersCommand,
    ) -> Result<Option<Box<TransferStatus>>, Failure> {
        let carriers = &self.carriers;
        if let Some((number, answer)) = self.desk.to_answer(command)? {
            carriers.answer(number, &answer)?;
            return Ok(None);
        }
        match command {
            TransfersCommand::Show { number } => {
                return Ok(Some(Box::new(carriers.get(*number)?)));
            }
            TransfersCommand::Cancel { number } => carriers.cancel(*number)?,
            TransfersCommand::Clear => carriers.forget()?,
            // The screen itself does these, and the answers are given above.
            TransfersCommand::List
            | TransfersCommand::Wait { .. }
            | TransfersCommand::Accept { .. }
            | TransfersCommand::Refuse { .. } => {}
        }
        Ok(None)
    }
}
