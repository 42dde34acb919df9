// The structured DSL of the handbook: the body sets the keys of a map.
def call(Closure body) {
    def config = [name: 'none', image: 'debian']
    body.resolveStrategy = Closure.DELEGATE_FIRST
    body.delegate = config
    body()
    node('dc-team.app') {
        stage("Build ${config.name}") {
            sh "echo ${config.name} in ${config.image} on ${config.ports.join('+')}"
        }
        stage('Test') {
            config.test('library')
        }
    }
}
