"""What the cast cannot build, and why: told to the client, never dropped in silence."""

import re

BEYOND = (
    "the rehearsal cast builds collections with typed fields, search, filters and CSV export; this goes "
    "beyond that"
)

_TABLE: tuple[tuple[str, str], ...] = (
    (
        r"pay(?:ments?|pal|ing)?\b(?! (?:method|date|day))|stripe|checkout|credit cards?|invoic\w+|billing"
        r"|subscriptions? fee|charge \w+ for",
        "money cannot be moved from an app that has no account at a payment provider",
    ),
    (r"pdfs?", "making PDF files needs a library that the rehearsal cast does not carry"),
    (
        r"log ?-?in(?:s|to)?|sign ?-?(?:in|up|on)|passwords?|accounts? (?:for|of)|user accounts?"
        r"|authenticat\w+|oauth|sso|roles?|permissions?|admins?\b|access (?:control|rights)|private (?:area"
        r"|pages?)|multi-?user|registration",
        "the rehearsal cast builds apps without accounts: whoever can open the page can use it",
    ),
    (
        r"(?:send|sends|sending|by|via|weekly|daily|automatic) (?:an? |out |the )?e-?mails?"
        r"|e-?mail (?:reminders?|notifications?|alerts?|digests?|newsletters?)|e-?mails? (?:when|if|me|us"
        r"|them|every\w*|people|members)|newsletters?|mailing",
        "e-mail needs an account at a mail server, and the app has none",
    ),
    (
        r"reminders?|remind\w*|notif\w+|alerts?|push|sms|text messages?|whatsapp|telegram|slack|discord",
        "the rehearsal cast's apps send nothing, and nothing in them runs by the clock",
    ),
    (
        r"real-?time|live (?:updates?|sync\w*|editing)|websockets?|instantly (?:see|sync)\w*|collaborat\w+"
        r"|simultaneous\w*",
        "pages are built when they are asked for; the rehearsal cast knows no live updates",
    ),
    (
        r"(?:mobile|native|android|iphone|ios|ipad) ?-?apps?|android|iphone|ios|app ?store|play store"
        r"|offline|desktop app",
        "it is a web app: it works on a phone's browser, but there is no app to install",
    ),
    (
        r"ai\b|a\.i\.|gpt\w*|chat ?bots?|machine learning|llms?|artificial intelligence|recommend(?:s"
        r"|ations?|ing|er)|suggest(?:s|ions)\b|predict\w*|automatic(?:ally)? (?:tag|categori[sz]e"
        r"|summari[sz]e|fill|detect)\w*",
        "there is no language model inside the app, and it asks none elsewhere",
    ),
    (
        r"(?:on|onto) (?:a|the) map|maps?\b(?= (?:view|of|with|showing|that))|gps|google maps|geo-?locat\w+"
        r"|map view|directions to",
        "maps come from a server elsewhere, and the app uses nothing from outside",
    ),
    (
        r"photos?|pictures?|images?|covers?|upload\w*|attach\w*|videos?|audio|files? (?:for|to|with)"
        r"|scan\w*|barcodes?|qr(?: codes?)?|camera|isbn lookup",
        "fields hold text, numbers, dates, yes/no and choices; files and pictures cannot be stored",
    ),
    (
        r"charts?|graphs?|statistics?|stats|dashboards?|analytics|reports?|diagrams?|histograms?|trends?",
        "the rehearsal cast shows collections, not charts or statistics",
    ),
    (
        r"calendars?(?: view)?|ical|kanban|timelines?|gantt|drag(?:ging)?(?: and |-and-|&)?drop\w*"
        r"|board view",
        "the rehearsal cast knows one view, the searchable list",
    ),
    (
        r"chats?\b|comments? (?:on|from|by|section|thread)|commenting|discussions?|forums?|votes?|voting"
        r"|polls?|likes\b|follow(?:ers|ing)|share (?:on|with|to|via)|social|invit(?:e|es|ing)\b",
        "people cannot talk, vote or be invited in an app without accounts",
    ),
    (
        r"apis?\b (?:of|from|to)|integrat\w+|sync\w*|google (?:books|sheets|drive|calendar)|goodreads"
        r"|amazon|spotify|imdb|webhooks?|zapier|import\w*|fetch\w*|scrap\w+|look ?ups? (?:from|by|via)"
        r"|weather",
        "the rehearsal cast's apps fetch nothing from other services and send nothing to them, and "
        "reading foreign files is not known",
    ),
    (
        r"translat\w+|multi-?lingual|multiple languages|in (?:german|french|spanish|italian"
        r"|several languages)|locali[sz]\w+|language switch\w*",
        "the app speaks English only",
    ),
    (
        r"print(?:ing|able|ed|er)?\b|word (?:file|document)s?|docx|xlsx|json export|xml",
        "of formats for taking data out, only CSV is known",
    ),
    (
        r"sort(?:ed|ing|s|able)?\b|order(?:ed|ing)? by|group(?:ed|ing)? by|pagination|paginate\w*",
        "the list is always newest first; the rehearsal cast knows search and filters only",
    ),
    (
        r"undo|history|versions?\b|audit|trash|recycle|backups?|restore",
        "what is changed or removed is gone; older versions are not kept",
    ),
    (
        r"currenc\w+ conver\w+|calculat\w+|sums?\b|totals? (?:of|per|by)|averages?|formula\w*|tax(?:es)?"
        r"|split\w* (?:the )?(?:bills?|costs?)|statistics",
        "the rehearsal cast's apps keep values and do not calculate with them",
    ),
    (
        r"games?(?= (?:mode|mechanic))|gamif\w+|badges? for|leader ?boards?|streaks?|points for|blockchain"
        r"|crypto\w*|nft|3d|virtual reality|voice|speech|timers?|recurring|schedul\w+|cron",
        BEYOND,
    ),
)

_COMPILED = tuple((re.compile(rf"\b(?:{words})", re.IGNORECASE), reason) for words, reason in _TABLE)


def reason_against(words: str) -> str:
    """Why the cast cannot do this; empty if nothing speaks against it."""
    return next((reason for pattern, reason in _COMPILED if pattern.search(words)), "")
