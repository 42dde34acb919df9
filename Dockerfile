# One image per binary: docker build --build-arg BINARY=apiserver|controller-manager|minijenkins|slipway|agent .
# For agents of a real Jenkins, slipway-agent with a JRE: docker build --target agent-jenkins --build-arg BINARY=agent .
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
ARG BINARY=apiserver
ARG TARGETOS=linux
ARG TARGETARCH=amd64
ARG VERSION=dev
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath \
    -ldflags "-s -w -X github.com/slipway-dev/slipway/pkg/version.gitVersion=$VERSION -X main.version=$VERSION" \
    -o /out/entrypoint ./cmd/$BINARY \
 && ln -s entrypoint /out/slipway-agent

# The JRE that runs in users' images. Temurin needs glibc 2.17 and no other library of the image; a Debian JRE
# needs glibc 2.34. The modules are those of Java SE and what Jenkins' plugins, which send code to agents, use beside.
FROM eclipse-temurin:25-jdk AS jre
RUN "$JAVA_HOME/bin/jlink" --output /payload/jre --strip-java-debug-attributes --no-man-pages --no-header-files --compress=zip-6 \
    --add-modules java.se,jdk.crypto.cryptoki,jdk.httpserver,jdk.management,jdk.naming.dns,jdk.net,jdk.security.auth,jdk.unsupported,jdk.zipfs \
 && /payload/jre/bin/java -Xshare:dump

# agent.jar is not in it: it has to fit the controller, and slipway-agent fetches it from there.
FROM scratch AS agent-jenkins
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/ /
COPY --from=jre /payload/ /payload/
USER 65532:65532
ENTRYPOINT ["/slipway-agent"]

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/ /
USER 65532:65532
ENTRYPOINT ["/entrypoint"]
