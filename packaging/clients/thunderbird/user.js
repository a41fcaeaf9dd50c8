// Preferences of Thunderbird for mail that Assay has checked. Put the file into the profile directory (Help, Troubleshooting
// Information, Profile Directory) and start Thunderbird again.

// Fields that message filters can look at.
user_pref("mailnews.customHeaders", "X-Assay-Result: X-Assay-Summary: X-Spam-Flag");

// Fields that Thunderbird keeps in its index. Filters of an IMAP account then see them before a message is opened.
user_pref("mailnews.customDBHeaders", "x-assay-result x-assay-summary x-spam-flag");

// The sentence for people, shown above every message together with From and Subject.
user_pref("mailnews.headers.extraExpandedHeaders", "X-Assay-Summary");
