def call(String result) {
    if (result != 'SUCCESS') {
        error 'only good news'
    }
    echo "told the team: ${result}"
}
