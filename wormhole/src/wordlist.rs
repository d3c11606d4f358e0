//! The words of codes: the PGP word list, with 256 words for odd positions and 256 for even ones.
//!
//! Pure, except for the random words. A code may have other words, if the sender has chosen them. So an unknown word is not an error, but
//! worth a question before the code is used up.

use std::io;

/// The words that can complete the last word typed, in order. A word that is complete is not repeated. Empty while the number is typed.
pub fn completions(typed: &str) -> Vec<&'static str> {
    let typed = typed.trim_start().to_lowercase();
    let mut parts = typed.split(['-', ' ']);
    let Some(number) = parts.next() else { return Vec::new() };
    if number.is_empty() || !number.bytes().all(|it| it.is_ascii_digit()) {
        return Vec::new();
    }
    let words: Vec<&str> = parts.collect();
    let Some((last, before)) = words.split_last() else { return Vec::new() };
    let mut fitting: Vec<_> =
        list_at(before.len()).filter(|it| it.starts_with(last) && it != last).collect();
    fitting.sort_unstable();
    fitting
}

/// A word of a code that is not in the list, and the word that may be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// The word as it was typed, in lower case.
    pub word: String,
    /// The most similar word of the list; `None` if none is similar.
    pub nearest: Option<&'static str>,
}

impl std::fmt::Display for Unknown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.nearest {
            Some(nearest) => write!(f, "'{}' is not in the word list: {nearest}?", self.word),
            None => write!(f, "'{}' is not in the word list", self.word),
        }
    }
}

/// The words of a code that are not in the list for their position. A word of the other list is returned too: then a word before it is
/// missing, or two were exchanged.
pub fn check(code: &str) -> Vec<Unknown> {
    let code = code.trim().to_lowercase();
    let words = code.split(|it: char| it == '-' || it.is_whitespace()).filter(|it| !it.is_empty());
    let mut unknown = Vec::new();
    for (place, word) in words.skip(1).enumerate() {
        if !list_at(place).any(|it| it == word) {
            unknown.push(Unknown { word: word.to_owned(), nearest: nearest(word, place) });
        }
    }
    unknown
}

/// The code, with the words of the list in lower case.
pub fn in_small_letters(code: &str) -> String {
    let word = |(place, word): (usize, &str)| {
        let small = word.to_lowercase();
        let is_listed = place > 0 && list_at(place - 1).any(|it| it == small);
        if is_listed { small } else { word.to_owned() }
    };
    code.split('-').enumerate().map(word).collect::<Vec<_>>().join("-")
}

/// Random words for a new code, joined by dashes: each is one of 256.
pub(crate) fn random(count: usize) -> io::Result<String> {
    let mut bytes = vec![0; count.clamp(1, 16)];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    let words = bytes.iter().enumerate();
    let words = words.filter_map(|(place, byte)| list_at(place).nth(usize::from(*byte)));
    Ok(words.collect::<Vec<_>>().join("-"))
}

/// The list for a position. Positions count from 0, and the first word comes from the odd list.
fn list_at(place: usize) -> impl Iterator<Item = &'static str> {
    let list = if place.is_multiple_of(2) { ODD } else { EVEN };
    list.split_ascii_whitespace()
}

/// The most similar word, if it differs in at most a third of the letters.
fn nearest(word: &str, place: usize) -> Option<&'static str> {
    let word: Vec<char> = word.chars().take(32).collect();
    let differs = |it: &str| distance(&word, &it.chars().collect::<Vec<_>>());
    let nearest = list_at(place).map(|it| (differs(it), it)).min()?;
    (nearest.0 <= word.len().div_ceil(3)).then_some(nearest.1)
}

/// The number of letters to add, remove or change (Levenshtein).
fn distance(from: &[char], to: &[char]) -> usize {
    let mut above: Vec<usize> = (0..=to.len()).collect();
    for (row, letter) in from.iter().enumerate() {
        let mut diagonal = row;
        let mut left = row + 1;
        let mut below = vec![left];
        for (other, over) in to.iter().zip(above.iter().skip(1)) {
            let changed = diagonal + usize::from(letter != other);
            left = changed.min(left + 1).min(over + 1);
            diagonal = *over;
            below.push(left);
        }
        above = below;
    }
    above.last().copied().unwrap_or(0)
}

/// The second, fourth, … word of a code.
const EVEN: &str = "\
    aardvark absurd accrue acme adrift adult afflict ahead aimless algol allow alone ammo ancient apple artist \
    assume athens atlas aztec baboon backfield backward banjo beaming bedlamp beehive beeswax befriend belfast \
    berserk billiard bison blackjack blockade blowtorch bluebird bombast bookshelf brackish breadline breakup \
    brickyard briefcase burbank button buzzard cement chairlift chatter checkup chisel choking chopper \
    christmas clamshell classic classroom cleanup clockwork cobra commence concert cowbell crackdown cranky \
    crowfoot crucial crumpled crusade cubic dashboard deadbolt deckhand dogsled dragnet drainage dreadful \
    drifter dropper drumbeat drunken dupont dwelling eating edict egghead eightball endorse endow enlist erase \
    escape exceed eyeglass eyetooth facial fallout flagpole flatfoot flytrap fracture framework freedom \
    frighten gazelle geiger glitter glucose goggles goldfish gremlin guidance hamlet highchair hockey indoors \
    indulge inverse involve island jawbone keyboard kickoff kiwi klaxon locale lockup merit minnow miser \
    mohawk mural music necklace neptune newborn nightbird oakland obtuse offload optic orca payday peachy \
    pheasant physique playhouse pluto preclude prefer preshrunk printer prowler pupil puppy python quadrant \
    quiver quota ragtime ratchet rebirth reform regain reindeer rematch repay retouch revenge reward rhythm \
    ribcage ringbolt robust rocker ruffled sailboat sawdust scallion scenic scorecard scotland seabird select \
    sentence shadow shamrock showgirl skullcap skydive slingshot slowdown snapline snapshot snowcap snowslide \
    solo southward soybean spaniel spearhead spellbind spheroid spigot spindle spyglass stagehand stagnate \
    stairway standard stapler steamship sterling stockman stopwatch stormy sugar surmount suspense sweatband \
    swelter tactics talon tapeworm tempest tiger tissue tonic topmost tracker transit trauma treadmill trojan \
    trouble tumor tunnel tycoon uncut unearth unwind uproot upset upshot vapor village virus vulcan waffle \
    wallet watchword wayside willow woodlark zulu";

/// The first, third, … word of a code.
const ODD: &str = "\
    adroitness adviser aftermath aggregate alkali almighty amulet amusement antenna applicant apollo armistice \
    article asteroid atlantic atmosphere autopsy babylon backwater barbecue belowground bifocals bodyguard \
    bookseller borderline bottomless bradbury bravado brazilian breakaway burlington businessman butterfat \
    camelot candidate cannonball capricorn caravan caretaker celebrate cellulose certify chambermaid cherokee \
    chicago clergyman coherence combustion commando company component concurrent confidence conformist \
    congregate consensus consulting corporate corrosion councilman crossover crucifix cumbersome customer \
    dakota decadence december decimal designing detector detergent determine dictator dinosaur direction \
    disable disbelief disruptive distortion document embezzle enchanting enrollment enterprise equation \
    equipment escapade eskimo everyday examine existence exodus fascinate filament finicky forever fortitude \
    frequency gadgetry galveston getaway glossary gossamer graduate gravity guitarist hamburger hamilton \
    handiwork hazardous headwaters hemisphere hesitate hideaway holiness hurricane hydraulic impartial impetus \
    inception indigo inertia infancy inferno informant insincere insurgent integrate intention inventive \
    istanbul jamaica jupiter leprosy letterhead liberty maritime matchmaker maverick medusa megaton microscope \
    microwave midsummer millionaire miracle misnomer molasses molecule montana monument mosquito narrative \
    nebula newsletter norwegian october ohio onlooker opulent orlando outfielder pacific pandemic pandora \
    paperweight paragon paragraph paramount passenger pedigree pegasus penetrate perceptive performance \
    pharmacy phonetic photograph pioneer pocketful politeness positive potato processor provincial proximate \
    puberty publisher pyramid quantity racketeer rebellion recipe recover repellent replica reproduce resistor \
    responsive retraction retrieval retrospect revenue revival revolver sandalwood sardonic saturday savagery \
    scavenger sensation sociable souvenir specialist speculate stethoscope stupendous supportive surrender \
    suspicious sympathy tambourine telephone therapist tobacco tolerance tomorrow torpedo tradition travesty \
    trombonist truncated typewriter ultimate undaunted underfoot unicorn unify universe unravel upcoming \
    vacancy vagabond vertigo virginia visitor vocalist voyager warranty waterloo whimsical wichita wilmington \
    wyoming yesteryear yucatan";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_complete_by_their_place() {
        let check =
            |typed: &str, expected: &[&str]| assert_eq!(completions(typed), expected, "{typed}");
        check("7-cros", &["crossover"]);
        check("7 CROS", &["crossover"]);
        check("7-crossover-cl", &["clamshell", "classic", "classroom", "cleanup", "clockwork"]);
        check("7-crossover", &[]);
        check("7", &[]);
        check("", &[]);
        check("cros", &[]);
        assert_eq!(completions("7-").len(), 256);
    }

    #[test]
    fn a_typo_is_found_before_it_uses_up_the_code() {
        let check = |code: &str, expected: &[&str]| {
            assert_eq!(check(code).iter().map(Unknown::to_string).collect::<Vec<_>>(), expected);
        };
        check("7-crossover-clockwork", &[]);
        check("7 Crossover clockwork", &[]);
        check("7-crossover-reveng", &["'reveng' is not in the word list: revenge?"]);
        check(
            "7-crosover-clokwork",
            &[
                "'crosover' is not in the word list: crossover?",
                "'clokwork' is not in the word list: clockwork?",
            ],
        );
        check("4-xyzzyq", &["'xyzzyq' is not in the word list"]);
        check("7", &[]);
    }

    #[test]
    fn random_words_are_of_the_lists() {
        for count in [1, 2, 5] {
            let words = random(count).unwrap();
            assert_eq!(words.split('-').count(), count);
            assert_eq!(check(&format!("7-{words}")), []);
        }
        assert_ne!(random(8).unwrap(), random(8).unwrap());
    }

    #[test]
    fn each_list_has_a_word_for_each_byte() {
        for place in [0, 1] {
            let words: std::collections::HashSet<_> = list_at(place).collect();
            assert_eq!(words.len(), 256);
        }
    }
}
