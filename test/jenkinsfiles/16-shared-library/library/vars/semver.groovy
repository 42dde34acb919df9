def next(String version, String part) {
    def (major, minor, patch) = version.tokenize('.')*.toInteger()
    switch (part) {
        case 'major': return text(major: major + 1)
        case 'minor': return text(major: major, minor: minor + 1)
        default: return text(major: major, minor: minor, patch: patch + 1)
    }
}

def text(Map parts) {
    return [parts.major, parts.minor, parts.patch].collect { it ?: 0 }.join('.')
}
