"""One job for whatever starts processes on many machines: ssh, Slurm, Ray, Kubernetes. One file, one of them."""
