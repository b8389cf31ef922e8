//! Comma-separated values (RFC 4180), as pandas writes them.

/// A record, with the line it begins at, counted from 1.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    pub line: usize,
    pub fields: Vec<String>,
}

/// All records without blank lines. The error is the line and its fault.
pub(super) fn records(text: &str) -> Result<Vec<Record>, (usize, &'static str)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut out = Vec::new();
    let (mut fields, mut field) = (Vec::new(), String::new());
    let (mut line, mut begun, mut quoted, mut was_quoted) = (1, 1, false, false);
    let mut letters = text.chars().peekable();
    loop {
        let letter = letters.next();
        if quoted {
            match letter {
                Some('"') if letters.peek() == Some(&'"') => {
                    letters.next();
                    field.push('"');
                }
                Some('"') => quoted = false,
                Some(letter) => {
                    line += usize::from(letter == '\n');
                    field.push(letter);
                }
                None => return Err((begun, "a quote that is not closed")),
            }
            continue;
        }
        match letter {
            Some('"') if field.is_empty() && !was_quoted => (quoted, was_quoted) = (true, true),
            Some('"') => return Err((line, "a quote within a value")),
            Some('\r') if letters.peek().is_none_or(|next| *next == '\n') => {}
            Some(letter) if letter != ',' && letter != '\n' => field.push(letter),
            end => {
                fields.push(std::mem::take(&mut field));
                was_quoted = false;
                if end == Some(',') {
                    continue;
                }
                if fields.len() > 1 || !fields[0].is_empty() {
                    out.push(Record { line: begun, fields: std::mem::take(&mut fields) });
                }
                fields.clear();
                line += 1;
                begun = line;
                if end.is_none() {
                    return Ok(out);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_commas_quotes_and_lines() {
        let text = "path,text\r\na/,\"#C cuts, \"\"well\"\"\nand long\"\n\nb/,";
        let all = records(text).unwrap();
        let fields: Vec<_> = all.iter().map(|record| (record.line, record.fields.join("|"))).collect();
        assert_eq!(
            fields,
            [(1, "path|text".into()), (2, "a/|#C cuts, \"well\"\nand long".into()), (5, "b/|".to_string())]
        );
    }

    #[test]
    fn broken_quotes_are_refused_with_their_line() {
        assert_eq!(records("a\n\"b").unwrap_err().0, 2);
        assert_eq!(records("a\nb\"c\"").unwrap_err().0, 2);
        assert!(records("").unwrap().is_empty());
    }
}
