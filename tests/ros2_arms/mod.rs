/// Every message against bytes that another implementation wrote.
mod golden;
