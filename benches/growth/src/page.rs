//! The parts of a page that come from figures, between marks.

/// Puts each text between `<!-- NAME -->` and `<!-- end of NAME -->`.
pub(crate) fn fill(page: &str, parts: &[(&str, String)]) -> Result<String, String> {
    let mut page = page.to_owned();
    for (name, text) in parts {
        let (start, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
        let missing = || format!("the page has no place for {name:?}: {} … {end}", start.trim_end());
        let from = page.find(&start).ok_or_else(missing)? + start.len();
        let to = from + page.get(from..).and_then(|rest| rest.find(&end)).ok_or_else(missing)?;
        page.replace_range(from..to, &format!("\n{}\n\n", text.trim_end()));
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "a\n<!-- one -->\nold\n<!-- end of one -->\nb\n";

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let filled = fill(PAGE, &[("one", "new\n".into())]).unwrap();
        assert_eq!(filled, "a\n<!-- one -->\n\nnew\n\n<!-- end of one -->\nb\n");
        assert_eq!(fill(&filled, &[("one", "new".into())]).unwrap(), filled);
    }

    #[test]
    fn the_page_of_this_repository_has_a_place_for_each_table() {
        let page = include_str!("../../../docs/performance.md");
        let tables = ["targets", "growth"].map(|name| (name, "| a table |".to_owned()));
        assert_eq!(fill(page, &tables).unwrap().matches("| a table |").count(), 2);
    }

    #[test]
    fn a_page_without_the_place_is_refused() {
        assert!(fill(PAGE, &[("two", String::new())]).is_err());
        assert!(fill("<!-- one -->\n", &[("one", String::new())]).is_err());
    }
}
