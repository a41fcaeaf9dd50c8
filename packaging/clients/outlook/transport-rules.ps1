# Rules of Exchange for mail that Assay has checked before Exchange receives it. For Exchange Server and Exchange Online, in the
# Exchange Management Shell or after Connect-ExchangeOnline.
#
# Not run against Exchange by Assay's own tests. The cmdlet and its parameters are those of Microsoft's reference of
# New-TransportRule. Create the rules with -Mode Audit first, and look at what they would have done.
#
# The pattern begins at the start of the value. Exchange takes a part of a value for a match without the "^".

New-TransportRule -Name 'Assay: junk' -Mode Audit `
    -HeaderContainsMessageHeader 'X-Spam-Flag' -HeaderContainsWords 'YES' `
    -SetSCL 6

New-TransportRule -Name 'Assay: forged sender' -Mode Audit `
    -HeaderMatchesMessageHeader 'X-Assay-Result' -HeaderMatchesPatterns '^\s*v=1;\s+trust=forged;' `
    -SetSCL 6

New-TransportRule -Name 'Assay: suspicious' -Mode Audit `
    -HeaderMatchesMessageHeader 'X-Assay-Result' -HeaderMatchesPatterns '^\s*v=1;\s+trust=suspicious;' `
    -PrependSubject '[Check] '
