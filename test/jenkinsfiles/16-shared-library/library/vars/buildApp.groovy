// Runs a block with the name of the application in its environment.
def call(Map config = [:], Closure body) {
    def name = config.name ?: 'unknown'
    echo "building ${name} in ${config.steps ?: 1} steps"
    withEnv(["APP=${name}"]) {
        body()
    }
    echo "built ${name}"
}
