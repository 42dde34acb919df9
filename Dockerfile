# One image per binary: docker build --build-arg BINARY=apiserver|controller-manager|minijenkins|slipway|agent .
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
    -ldflags "-s -w -X github.com/slipway-dev/slipway/pkg/version.gitVersion=$VERSION" \
    -o /out/entrypoint ./cmd/$BINARY \
 && ln -s entrypoint /out/slipway-agent

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/ /
USER 65532:65532
ENTRYPOINT ["/entrypoint"]
