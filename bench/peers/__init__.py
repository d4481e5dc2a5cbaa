"""The peers: other ways to run jobs, each in its documented production configuration."""
