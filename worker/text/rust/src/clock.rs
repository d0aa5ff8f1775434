//! strftime on a time that the caller gives, in UTC and in English: the part that chat templates use.

const MONTHS: [&str; 12] = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
];
const DAYS: [&str; 7] =
    ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

/// Year, month and day (from 1) of a day counted from 1970-01-01, by Howard Hinnant's
/// `civil_from_days`.
fn civil(days: i64) -> (i64, usize, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as usize, day)
}

/// The formatted time, or why the format is refused.
pub fn strftime(format: &str, unix_s: i64) -> Result<String, String> {
    let (days, second) = (unix_s.div_euclid(86_400), unix_s.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (month_name, day_name) = (MONTHS[month - 1], DAYS[days.rem_euclid(7) as usize]);
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut directive = chars.next().unwrap_or(' ');
        let padded = directive != '-';
        if !padded {
            directive = chars.next().unwrap_or(' ');
        }
        let two = |n: i64| if padded { format!("{n:02}") } else { n.to_string() };
        out.push_str(&match directive {
            'Y' => year.to_string(),
            'y' => two(year.rem_euclid(100)),
            'm' => two(month as i64),
            'd' => two(day),
            'B' => month_name.to_string(),
            'b' => month_name[..3].to_string(),
            'A' => day_name.to_string(),
            'a' => day_name[..3].to_string(),
            'H' => two(second / 3_600),
            'M' => two(second / 60 % 60),
            'S' => two(second % 60),
            '%' => "%".to_string(),
            other => return Err(format!("strftime_now: %{other} is not supported")),
        });
    }
    Ok(out)
}
